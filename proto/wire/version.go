package wire

// ChooseVersion gives the newest version that two ranges have in common. ok is false when there is none. An end that says nothing of
// its oldest version (0) speaks its newest alone.
func ChooseVersion(minA, maxA, minB, maxB uint32) (version uint32, ok bool) {
	if minA == 0 {
		minA = maxA
	}
	if minB == 0 {
		minB = maxB
	}
	version = min(maxA, maxB)
	return version, version > 0 && version >= max(minA, minB)
}
