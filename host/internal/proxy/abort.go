package proxy

import "time"

// statusClientGone stands in logs and metrics for a request whose client did not wait for the answer, as in nginx.
const statusClientGone = 499

// How long a request is served before somebody looks whether its client is still there, and how often that is looked at.
const (
	lookAfter = 250 * time.Millisecond
	lookEvery = 100 * time.Millisecond
)

// watchClients looks for clients that have gone while their requests are served, until the server ends. Who has closed its sending half has gone, too: no
// other sign of it comes before the response is written.
func (s *Server) watchClients() {
	go func() {
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		for {
			select {
			case <-s.looking.Done():
				return
			case now := <-look.C:
				if s.proxy.inFlight.Load() == 0 {
					continue
				}
				for _, c := range s.slow(now.Add(-lookAfter)) {
					if gone(c.Conn.Conn) {
						c.quit.Go()
					}
				}
			}
		}
	}()
}

// slow are the connections whose request came before a time and is still served. Those that are parked are not walked over.
func (s *Server) slow(before time.Time) (list []*clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.served {
		if began := c.began.Load(); began != 0 && began < before.UnixNano() {
			list = append(list, c)
		}
	}
	return list
}

// giveUp ends the exchange of a client that has gone: its service hears nothing of it.
func (r *request) giveUp() {
	if r.conn.quit.Gone() {
		r.ex.Fail(statusClientGone, "The client did not wait for the answer")
		r.ex.Answer.Transport = true
	}
}
