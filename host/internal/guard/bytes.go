package guard

// byteSet is a set of bytes.
type byteSet [256]bool

// setOf has the bytes from first to last and more.
func setOf(first, last byte, more string) (s byteSet) {
	for c := int(first); c <= int(last); c++ {
		s[c] = true
	}
	for i := range len(more) {
		s[more[i]] = true
	}
	return s
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	digits      = setOf('0', '9', "")
	hexDigits   = setOf('0', '9', "abcdefABCDEF")
	methodBytes = setOf('A', 'Z', "0123456789-_")
	hostBytes   = setOf('0', '9', letters+"-._")
	ipv6Bytes   = setOf('0', '9', "abcdefABCDEF:.")
)

func allOf(set *byteSet, b []byte) bool {
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return true
}
