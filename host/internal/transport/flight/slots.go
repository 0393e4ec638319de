package flight

import "github.com/outrigger-gateway/outrigger/proto/wire"

// Slots is which entities a lane has named, and in which slot. The order of assignments is that of the lane, so its user holds the
// lock under which frames are queued.
type Slots struct {
	of   map[*wire.Entity]uint16
	ring []*wire.Entity // who has each slot
	next uint16         // the slot that is given away next
}

// Of returns the slot of e, one of the entities of f. fresh: it was assigned just now, and the entity must be sent ahead of whoever
// names the slot. The slots of the other entities of f stay theirs.
func (s *Slots) Of(e *wire.Entity, f *wire.Facts) (slot uint16, fresh bool) {
	if slot, ok := s.of[e]; ok {
		return slot, false
	}
	if s.of == nil {
		s.of = make(map[*wire.Entity]uint16)
		s.ring = make([]*wire.Entity, wire.EntitySlots)
	}
	old := s.ring[s.next]
	for old != nil && (old == f.Route || old == f.Service || old == f.Consumer) {
		s.advance()
		old = s.ring[s.next]
	}
	if old != nil {
		delete(s.of, old)
	}
	slot = s.next
	s.ring[slot] = e
	s.of[e] = slot
	s.advance()
	return slot, true
}

func (s *Slots) advance() { s.next = (s.next + 1) % wire.EntitySlots }
