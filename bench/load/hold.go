package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Hold opens connections, sends one request over each, and keeps them open, idle, until release is called. release sends a request over each once
// more, before it closes them: the error says that one was not held.
func Hold(s Spec) (release func() error, err error) {
	var held []net.Conn
	closeAll := func() {
		for _, c := range held {
			_ = c.Close()
		}
	}
	buf := bufio.NewReader(nil)
	release = func() error {
		defer closeAll()
		for i, c := range held {
			if err := once(c, buf, s); err != nil {
				return fmt.Errorf("load: connection %d of %d to %s, after it was idle: %w", i+1, len(held), s.Address, err)
			}
		}
		return nil
	}
	for i := range s.Connections {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			held = append(held, conn)
			err = once(conn, buf, s)
		}
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("load: idle connection %d of %d to %s: %w", i+1, s.Connections, s.Address, err)
		}
	}
	return release, nil
}

// once sends a request and reads its answer.
func once(conn net.Conn, buf *bufio.Reader, s Spec) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(s.Request); err != nil {
		return err
	}
	buf.Reset(conn)
	res, err := http.ReadResponse(buf, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != s.Status {
		return fmt.Errorf("found status %d, expected %d", res.StatusCode, s.Status)
	}
	if res.Close {
		return errors.New("the server closes the connection behind its answer, expected that it keeps it")
	}
	return conn.SetDeadline(time.Time{})
}
