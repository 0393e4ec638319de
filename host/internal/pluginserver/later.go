package pluginserver

// ConfigureLater creates an instance like Configure, without waiting: the processes are asked in the background until they answer. Until then err is
// what became of it. It is for another instance of a plugin that has just been silent.
func (s *Server) ConfigureLater(in Instance, err error) {
	for _, l := range s.remember(&in, err) {
		l.askAgainLater()
	}
}

// remember an instance that was not asked for yet, and lists the lives that are to be asked.
func (s *Server) remember(in *Instance, err error) []*life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	s.instances[in.ID] = in
	lives := s.takingCalls()
	for _, l := range lives {
		l.applied[in.ID] = applied{in, err, true}
	}
	return lives
}
