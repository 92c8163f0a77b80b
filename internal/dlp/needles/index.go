package needles

import (
	"bytes"
	"encoding/binary"
	"index/suffixarray"
	"slices"
	"sort"
)

// id tells whose text it is, and in which form.
type id struct {
	name string
	kind Form
}

// span is a text's place in the text of all.
type span struct {
	start int
	id    id
}

// whole is a text that only counts in full.
type whole struct {
	text string
	id   id
}

// index holds texts of one kind of lane. All is folded, except what wholes compare.
type index struct {
	spans   []span // of what is found by windows, by start
	windows *suffixarray.Index
	wholes  map[string][]whole // by folded text
	sorted  []string           // the folded wholes, for their beginnings
	lengths []int              // of wholes, rising
	tail    int                // bytes of a lane that the next chunk may complete

	gram   int    // bytes of a q-gram
	mask   uint64 // of a q-gram in 8 bytes
	stride int    // between probes
	filter []uint64
	shift  uint
}

// fold is what makes letters lower case and leaves digits as they are. What it does to
// other bytes does no harm, as matches are compared.
const fold = 0x20

const (
	folds = 0x2020202020202020
	// mixers spread the bits of a q-gram (64-bit primes near the golden ratio and √2).
	mixer = 0x9E3779B97F4A7C15
	other = 0xB504F333F9DE6485
	// maxFilter bounds the filter, in bits: 16 MiB.
	maxFilter = 27
)

func folded(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] |= fold
	}
	return string(b)
}

// builder gathers the texts of an index.
type builder struct {
	text   []byte
	spans  []span
	wholes []whole
}

func (b *builder) add(name string, kind Form, text string) {
	if !hasWindow(folded(text)) {
		b.wholes = append(b.wholes, whole{text, id{name, kind}})
		return
	}
	b.spans = append(b.spans, span{len(b.text), id{name, kind}})
	b.text = append(b.text, folded(text)...)
	b.text = append(b.text, 0) // never in a folded lane, so no window is of two texts
}

// hasWindow tells whether any window of text counts.
func hasWindow(text string) bool {
	for s := 0; s+Window <= len(text); s++ {
		if distinct(text[s:s+Window]) >= minDistinct {
			return true
		}
	}
	return false
}

// index makes the index; nil if there are no texts.
func (b *builder) index() *index {
	if len(b.spans) == 0 && len(b.wholes) == 0 {
		return nil
	}
	x := &index{spans: b.spans, windows: suffixarray.New(b.text), wholes: map[string][]whole{}}
	shortest, longest := Window, Window
	for _, w := range b.wholes {
		key := folded(w.text)
		x.wholes[key] = append(x.wholes[key], w)
		if !slices.Contains(x.lengths, len(key)) {
			x.lengths = append(x.lengths, len(key))
		}
		shortest, longest = min(shortest, len(key)), max(longest, len(key))
	}
	for key := range x.wholes {
		x.sorted = append(x.sorted, key)
	}
	slices.Sort(x.sorted)
	slices.Sort(x.lengths)
	x.tail = longest - 1
	x.gram = min(8, max(4, shortest-3))
	x.mask = ^uint64(0) >> (64 - 8*x.gram)
	x.stride = shortest - x.gram + 1
	x.fill(b.text)
	return x
}

// fill puts every q-gram of the texts into the filter.
func (x *index) fill(text []byte) {
	count := len(text)
	for _, w := range x.sorted {
		count += len(w)
	}
	bits := uint(12)
	for bits < maxFilter && 1<<bits < count*64 {
		bits++
	}
	x.filter, x.shift = make([]uint64, 1<<bits/64), 64-bits
	x.learn(text)
	for _, w := range x.sorted {
		x.learn([]byte(w))
	}
}

func (x *index) learn(text []byte) {
	padded := append(bytes.Clone(text), make([]byte, 8)...)
	for p := 0; p+x.gram <= len(text); p++ {
		v := (binary.LittleEndian.Uint64(padded[p:]) | folds) & x.mask
		a, b := v*mixer>>x.shift, v*other>>x.shift
		x.filter[a/64] |= 1 << (a % 64)
		x.filter[b/64] |= 1 << (b % 64)
	}
}

// probe calls found with places of q-grams in b[:n] that may be of the texts. Each
// place of a text in b[:n] holds at least one of them. b has 8 bytes more than n.
func (x *index) probe(b []byte, n int, found func(p int)) {
	filter, shift, mask, stride := x.filter, x.shift, x.mask, x.stride
	last := n - x.gram
	for p := 0; p <= last; p += stride {
		v := (binary.LittleEndian.Uint64(b[p:]) | folds) & mask
		h := v * mixer >> shift
		if filter[h/64]>>(h%64)&1 == 0 {
			continue
		}
		h = v * other >> shift
		if filter[h/64]>>(h%64)&1 != 0 {
			found(p)
		}
	}
}

// window tells whose window is w, which is folded, if it counts.
func (x *index) window(w []byte) (id, bool) {
	at := x.windows.Lookup(w, 1)
	if len(at) == 0 || distinct(string(w)) < minDistinct {
		return id{}, false
	}
	i := sort.Search(len(x.spans), func(i int) bool { return x.spans[i].start > at[0] }) - 1
	return x.spans[i].id, true
}

// beginning gives the length of the longest end of b, which is folded, that some match
// may begin with.
func (x *index) beginning(b []byte) int {
	most := min(len(b), Window-1)
	longest := sort.Search(most, func(k int) bool { return len(x.windows.Lookup(b[len(b)-1-k:], 1)) == 0 })
	for k := min(len(b), x.tail); k > longest; k-- {
		end := string(b[len(b)-k:])
		i, _ := slices.BinarySearch(x.sorted, end)
		if i < len(x.sorted) && len(x.sorted[i]) > k && x.sorted[i][:k] == end {
			return k
		}
	}
	return longest
}
