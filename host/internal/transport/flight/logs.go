package flight

import (
	"fmt"
	"sync"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
)

// Bounds of the log lines of one lane that wait for the logger.
const (
	maxLogLine  = 64 << 10 // bytes; longer lines are cut
	maxLogLines = 4096
	maxLogBytes = 4 << 20
)

// Logs hands log lines to a logger that may be slow, without ever holding up the reader of the lane. Lines that do not fit are
// dropped and counted. Its goroutine lives only while lines wait.
type Logs struct {
	sink    func(transport.LogRecord)
	backlog *transport.Backlog

	mu      sync.Mutex
	queue   []transport.LogRecord
	lines   int // queued or with the logger
	bytes   int // of these
	dropped int
	running bool
}

// NewLogs makes the queue of a lane in front of o.OnLog; nil takes nothing.
func NewLogs(o transport.Options) *Logs { return &Logs{sink: o.OnLog, backlog: o.Backlog} }

// Add queues a line. The message is the caller's to give: nobody changes it afterwards.
func (l *Logs) Add(rec transport.LogRecord) {
	if l.sink == nil {
		return
	}
	if over := len(rec.Message) - maxLogLine; over > 0 {
		rec.Message = fmt.Sprintf("%s… (%d more bytes)", rec.Message[:maxLogLine], over)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines >= maxLogLines || l.bytes+len(rec.Message) > maxLogBytes {
		l.dropped++
		return
	}
	l.queue = append(l.queue, rec)
	l.lines++
	l.bytes += len(rec.Message)
	if !l.running {
		l.running = true
		l.backlog.Begin()
		go l.drain()
	}
}

func (l *Logs) drain() {
	for {
		l.mu.Lock()
		batch, dropped := l.queue, l.dropped
		l.queue, l.dropped = nil, 0
		if len(batch) == 0 && dropped == 0 {
			l.running = false
			l.backlog.End()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		written := 0
		for i := range batch {
			l.sink(batch[i])
			written += len(batch[i].Message)
		}
		if dropped > 0 {
			l.sink(transport.LogRecord{Level: 3, Message: fmt.Sprintf("%d log lines were dropped: the plugin server logs faster than they can be written", dropped)})
		}
		l.mu.Lock()
		l.lines -= len(batch)
		l.bytes -= written
		l.mu.Unlock()
	}
}
