package botdetection

import "strings"

// mark is a piece of text by which a bot is known.
type mark struct {
	text  string
	place place
}

// place is where in a User-Agent a mark counts.
type place uint8

const (
	anywhere      place = iota
	anyCase             // anywhere, in capitals too
	atStart             // of the User-Agent
	atWord              // at the start of a word
	inWord              // with more of a word behind it
	beforeVersion       // followed by /1
	beforeNumber        // followed by /1 or by a blank and 1
	inComment           // behind a slash, followed by a blank or dash and 1
)

// at reports whether the mark is in agent at the offset i.
func (m *mark) at(agent string, i int) bool {
	end := i + len(m.text)
	if end > len(agent) {
		return false
	}
	if found := agent[i:end]; m.place == anyCase {
		return strings.EqualFold(found, m.text)
	} else if found != m.text {
		return false
	}
	switch m.place {
	case atStart:
		return i == 0
	case atWord:
		return i == 0 || !wordByte(agent[i-1])
	case inWord:
		return end < len(agent) && wordByte(agent[end])
	case beforeVersion:
		return followed(agent, end, "/")
	case beforeNumber:
		return followed(agent, end, "/ ")
	case inComment:
		return i > 0 && agent[i-1] == '/' && followed(agent, end, " -")
	}
	return true
}

// followed reports whether one of the separators and a digit stand at the offset i.
func followed(agent string, i int, separators string) bool {
	return i+1 < len(agent) && strings.IndexByte(separators, agent[i]) >= 0 && '0' <= agent[i+1] && agent[i+1] <= '9'
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// marks finds marks by their first byte, so that looking for all of them costs little more than reading the User-Agent once.
type marks [256][]mark

// knownBots lists the marks of bots.
func knownBots() *marks {
	m := new(marks)
	for _, l := range botLists() {
		for text := range strings.SplitSeq(strings.TrimSpace(l.texts), "\n") {
			text = strings.TrimSpace(text)
			m[text[0]] = append(m[text[0]], mark{text, l.place})
			if upper := strings.ToUpper(text)[0]; l.place == anyCase && upper != text[0] {
				m[upper] = append(m[upper], mark{text, l.place})
			}
		}
	}
	return m
}

// in reports whether agent is that of a bot.
func (m *marks) in(agent string) bool {
	for i := range len(agent) {
		list := m[agent[i]]
		for j := range list {
			if list[j].at(agent, i) {
				return true
			}
		}
		if botAt(agent, i) {
			return true
		}
	}
	return false
}

// botAt reports whether "bot" or "Bot" stands at the offset i, behind two other letters or signs. CUBOT, which makes telephones, is none.
func botAt(agent string, i int) bool {
	return i >= 2 && i+3 <= len(agent) && (agent[i] == 'b' || agent[i] == 'B') && agent[i+1:i+3] == "ot" &&
		agent[i-2] != 'C' && agent[i-1] != 'U' && agent[i-1] != 'u'
}
