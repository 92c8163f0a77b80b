package dlp

import "math"

// entropyWindow is how many bytes are looked at together; random base64 has some 5.7 bits
// for each of so many, JSON of English words 4.8.
const (
	entropyWindow = 128
	entropyBits   = 5.5
)

// entropy warns of what looks random. It refuses nothing: pictures and digests do, too.
type entropy struct {
	warn   func(string)
	window [entropyWindow]byte
	counts [256]int
	seen   int
	warned bool
}

// see looks at the bytes that come next, in windows that lie over each other by half.
func (e *entropy) see(fresh []byte) {
	for _, c := range fresh {
		if e.warned {
			return
		}
		at := e.seen % entropyWindow
		if e.seen >= entropyWindow {
			e.counts[e.window[at]]--
		}
		e.window[at] = c
		e.counts[c]++
		if e.seen++; e.seen >= entropyWindow && e.seen%(entropyWindow/2) == 0 && e.bits() >= entropyBits {
			e.warned = true
			e.warn(RuleEntropy)
		}
	}
}

// bits is Shannon's entropy of a byte of the window.
func (e *entropy) bits() (sum float64) {
	for _, n := range e.counts {
		if n > 0 {
			p := float64(n) / entropyWindow
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
