package pdk

// Phase is one phase of a request, or a set of them: the values are bits.
type Phase uint16

// Phases in the order in which a request meets them.
const (
	PhaseRewrite Phase = 1 << iota
	PhaseAccess
	PhaseResponse
	PhaseHeaderFilter
	PhaseBodyFilter
	PhaseLog
)

// PhaseCount is the number of phases.
const PhaseCount = 6

var phaseNames = [PhaseCount]string{"rewrite", "access", "response", "header_filter", "body_filter", "log"}

// Phases lists every phase in request order.
func Phases() []Phase {
	return []Phase{PhaseRewrite, PhaseAccess, PhaseResponse, PhaseHeaderFilter, PhaseBodyFilter, PhaseLog}
}

// Has reports whether p contains every phase of q.
func (p Phase) Has(q Phase) bool { return p&q == q && q != 0 }

// Index is the position of a single phase, 0 to PhaseCount-1, or -1 for a set.
func (p Phase) Index() int {
	for i := range PhaseCount {
		if p == 1<<i {
			return i
		}
	}
	return -1
}

// Code is the number of a single phase on the wire, 1 to PhaseCount.
func (p Phase) Code() uint8 { return uint8(p.Index() + 1) }

// PhaseFromCode is the reverse of Code; 0 for an unknown code.
func PhaseFromCode(c uint8) Phase {
	if c < 1 || c > PhaseCount {
		return 0
	}
	return 1 << (c - 1)
}

// PhaseByName finds a phase by its configuration name; 0 if there is none.
func PhaseByName(name string) Phase {
	for i, n := range phaseNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// Names lists the names of the phases in p, in request order.
func (p Phase) Names() []string {
	var names []string
	for i, n := range phaseNames {
		if p&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String is the name of a phase; names of a set are joined with ", ".
func (p Phase) String() string {
	s := ""
	for i, n := range p.Names() {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}
