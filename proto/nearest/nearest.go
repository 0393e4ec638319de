// Package nearest guesses which of the known names somebody meant who wrote another one, for messages.
package nearest

import "strings"

// longest name that is guessed at, in bytes: what is longer is no misspelt name.
const longest = 64

// Name is the one of names that takes the fewest changes to get to from found, the first of several; "" when none is near: more than two changes away,
// or a third of the length of found. Upper and lower case are the same.
func Name(found string, names []string) string {
	if len(found) > longest {
		return ""
	}
	best, bound := "", max(2, len(found)/3)+1
	for _, name := range names {
		if len(name)-len(found) >= bound || len(found)-len(name) >= bound {
			continue
		}
		if d := Changes(strings.ToLower(found), strings.ToLower(name)); d < bound && d < len(name) {
			best, bound = name, d
		}
	}
	return best
}

// Changes counts the bytes to insert, delete, replace or swap with their neighbour to get from a to b.
func Changes(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
