package main

import (
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A name that moves between the addresses of the upstream.
const (
	movingName = "moving.test"
	nameTTL    = time.Second
	nameGrace  = 2 * time.Second // for requests that were on their way, and a resolver that answers from its cache while it asks
)

// nameServer answers for the moving name.
type nameServer struct {
	conn net.PacketConn
	at   chan int // holds the index of the address
	done chan struct{}
}

func startNameServer() (*nameServer, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &nameServer{conn: conn, at: make(chan int, 1), done: make(chan struct{})}
	s.at <- 0
	go s.serve()
	return s, nil
}

func (s *nameServer) address() string { return s.conn.LocalAddr().String() }

// move gives the name another address.
func (s *nameServer) move() string {
	at := (<-s.at + 1) % len(addresses)
	s.at <- at
	return addresses[at]
}

func (s *nameServer) close() {
	_ = s.conn.Close()
	<-s.done
}

func (s *nameServer) serve() {
	defer close(s.done)
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if answer, ok := s.answer(b[:n]); ok {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer answers questions for the A record of the moving name; others get an empty answer.
func (s *nameServer) answer(question []byte) ([]byte, bool) {
	var p dnsmessage.Parser
	head, err := p.Start(question)
	if err != nil || head.Response {
		return nil, false
	}
	q, err := p.Question()
	if err != nil {
		return nil, false
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionAvailable: true, RecursionDesired: head.RecursionDesired},
		Questions: []dnsmessage.Question{q},
	}
	if q.Type == dnsmessage.TypeA && strings.EqualFold(q.Name.String(), movingName+".") {
		at := <-s.at
		s.at <- at
		record := dnsmessage.AResource{A: [4]byte(net.ParseIP(addresses[at]).To4())}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: uint32(nameTTL.Seconds())}, Body: &record,
		}}
	}
	answer, err := m.Pack()
	return answer, err == nil
}
