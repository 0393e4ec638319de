package pdk

// Class says what calling a function means. It is fixed per function and never depends on data.
type Class uint8

// Classes of functions.
const (
	ClassRead   Class = 1 + iota // answered from the facts, without a round trip
	ClassWrite                   // recorded, applied when the handler ends well
	ClassAsk                     // a round trip to the host
	ClassNotice                  // one way to the host
	ClassExit                    // a write that seals the outcome
)

func (c Class) String() string {
	switch c {
	case ClassRead:
		return "read"
	case ClassWrite:
		return "write"
	case ClassAsk:
		return "ask"
	case ClassNotice:
		return "notice"
	case ClassExit:
		return "exit"
	}
	return "unknown class"
}

// Function is one row of the table of PDK functions.
type Function struct {
	Name   string // canonical, such as service.request.set_header
	Class  Class
	Phases Phase  // where it may be called
	Op     uint16 // number of its operation on the wire; 0: it has none
	Ask    uint16 // number of its question on the wire; 0: it has none
	Level  uint8  // of a notice: 0 debug to 7 emerg
}

// everyPhase is the set of all phases.
const everyPhase = PhaseRewrite | PhaseAccess | PhaseResponse | PhaseHeaderFilter | PhaseBodyFilter | PhaseLog

// maxOp is above every operation number of the definition; a test of the generator holds it.
const maxOp = 128

var functionsByOp = func() (byOp [maxOp]*Function) {
	for i := range Functions {
		if op := Functions[i].Op; op != 0 {
			byOp[op] = &Functions[i]
		}
	}
	return byOp
}()

// FunctionOfOp finds the function that an operation on the wire comes from; nil for an unknown number.
func FunctionOfOp(op uint16) *Function {
	if op >= maxOp {
		return nil
	}
	return functionsByOp[op]
}

// PhasesOfAsk are the phases in which any function puts a question; 0 for an unknown number.
func PhasesOfAsk(ask uint16) Phase {
	var phases Phase
	for i := range Functions {
		if ask != 0 && Functions[i].Ask == ask {
			phases |= Functions[i].Phases
		}
	}
	return phases
}
