package balancer

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
)

const (
	pointsPerTarget = 160
	smallestRing    = 1000
)

// ring is the one of consistent hashing: points of places on a circle of size positions. It depends on the configuration and the answers of DNS alone, so
// that every node has the same.
type ring struct {
	size   uint32
	points []point // by position
}

type point struct {
	at    uint32
	place *Place
}

// newRing shares the points by weight: 160 for each target when all weigh the same. Places put their points down in turn, the k-th of each before the next
// of any. A position that is taken is tried again with the next number.
func newRing(places []*Place, targets, slots int) *ring {
	r := &ring{size: uint32(max(slots, smallestRing))}
	total := 0
	for _, p := range places {
		total += p.weight
	}
	if total == 0 {
		return r
	}
	left := make([]int, len(places))
	number := make([]int, len(places)) // of the last point
	for i, p := range places {
		left[i] = max(1, p.weight*targets*pointsPerTarget/total)
	}
	taken := make(map[uint32]bool, targets*pointsPerTarget)
	var name []byte
	for more := true; more && len(taken) < int(r.size); {
		more = false
		for i, p := range places {
			if left[i] == 0 || number[i] >= int(r.size) {
				continue
			}
			more = true
			number[i]++
			name = append(append(append(name[:0], p.Host...), ':'), strconv.Itoa(p.Port)...)
			name = strconv.AppendInt(append(name, ' '), int64(number[i]), 10)
			if at := xxh32(name) % r.size; !taken[at] {
				taken[at] = true
				r.points = append(r.points, point{at, p})
				left[i]--
			}
		}
	}
	slices.SortFunc(r.points, func(a, b point) int { return int(a.at) - int(b.at) })
	return r
}

// walkRing finds the first place that may be used, from the position of the hash on.
func (b *Balancer) walkRing(v *view, c *Choice, tried []*Place, full *bool) *Place {
	n := len(v.ring.points)
	start, _ := slices.BinarySearchFunc(v.ring.points, c.Hash%v.ring.size, func(p point, at uint32) int { return int(p.at) - int(at) })
	for i := range n {
		p := v.ring.points[(start+i)%n].place
		if b.may(p, c.Now, tried) && b.take(p, full) {
			return p
		}
	}
	return nil
}

// Hash is the hash of consistent-hashing, xxHash32 with the seed 0, as in Kong.
func Hash(input []byte) uint32 { return xxh32(input) }

// xxh32 is xxHash32 with the seed 0, as https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md says.
func xxh32(b []byte) uint32 {
	var prime1, prime2 uint32 = 2654435761, 2246822519
	const prime3, prime4, prime5 uint32 = 3266489917, 668265263, 374761393
	sum := uint32(len(b))
	if len(b) < 16 {
		sum += prime5
	} else {
		lanes := [4]uint32{prime1 + prime2, prime2, 0, -prime1}
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*prime2, 13) * prime1
			}
		}
		sum += bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) + bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	for ; len(b) >= 4; b = b[4:] {
		sum = bits.RotateLeft32(sum+binary.LittleEndian.Uint32(b)*prime3, 17) * prime4
	}
	for _, c := range b {
		sum = bits.RotateLeft32(sum+uint32(c)*prime5, 11) * prime1
	}
	sum = (sum ^ sum>>15) * prime2
	sum = (sum ^ sum>>13) * prime3
	return sum ^ sum>>16
}
