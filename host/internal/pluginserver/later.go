package pluginserver

// ConfigureLater creates an instance like Configure, without waiting: the processes are asked in the background until they answer. Until then err is
// what became of it. It is for another instance of a plugin that has just been silent.
func (s *Server) ConfigureLater(in Instance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.instances[in.ID] = &in
	for _, l := range s.takingCalls() {
		l.applied[in.ID] = applied{&in, err, true}
	}
}
