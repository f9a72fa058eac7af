package index

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// windowSize is the length of a floating key, gramSize that of the pieces of
// it that are looked for. A window contains stride grams, one for each phase;
// so of a subject only every stride-th gram need be looked at: whichever phase
// a window stands in, one of its grams stands at such a place.
const (
	windowSize = 8
	gramSize   = 4
	stride     = windowSize - gramSize + 1
)

// foldBits makes upper case letters lower case. It also makes some other bytes
// equal, which for a filter does no harm.
const (
	foldGram   = 0x20202020
	foldWindow = 0x2020202020202020
)

// A filter finds windows in a subject.
type filter struct {
	bitmap  []uint64 // hashes of grams that are there
	shift   uint8    // from a product to a bit of bitmap
	tshift  uint8    // from a product to a place in table
	table   []slot   // open addressing, a power of two, less than half full
	refs    []ref
	windows []window
	lines   []int32 // those of the windows, each window's in order
	first   int32   // the least of lines
}

// A slot says where the refs of a gram start; 0 is a free slot, since refs[0]
// is not used.
type slot struct{ gram, refs uint32 }

// A ref is a window that holds a gram: its number, how far the gram stands
// behind its start, and whether it is the gram's last ref.
type ref uint32

func newRef(window, back int, last bool) ref {
	r := ref(window<<4 | back<<1)
	if last {
		r |= 1
	}
	return r
}

func (r ref) window() int { return int(r >> 4) }
func (r ref) back() int   { return int(r >> 1 & 7) }
func (r ref) last() bool  { return r&1 != 0 }

// A window is a folded key and its lines.
type window struct {
	text     uint64
	from, to uint32 // in filter.lines
}

const gramFactor = 0x9E3779B1 // 2³² divided by the golden ratio: spreads well

func hashGram(g uint32) uint32 { return g * gramFactor }

// maxBitmap is how large a bitmap may be: 32 KiB, what fits into the first
// level of cache beside the subject. The largest list has some 17,000 grams,
// for which one byte in twenty of unrelated text then is looked up for nothing.
const maxBitmapBits = 18

// newFilter builds a filter from folded windows and the lines that wait for
// them. It is nil if there are none.
func newFilter(keys map[uint64][]int32) *filter {
	if len(keys) == 0 {
		return nil
	}
	f := &filter{refs: make([]ref, 1)}
	texts := make([]uint64, 0, len(keys))
	for text := range keys {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	f.first = 1<<31 - 1
	for _, text := range texts {
		lines := sortedUnique(keys[text])
		from := uint32(len(f.lines))
		f.lines = append(f.lines, lines...)
		f.windows = append(f.windows, window{text, from, uint32(len(f.lines))})
		f.first = min(f.first, lines[0])
	}
	f.fill(f.grams())
	return f
}

// A gramUse is one place of a gram in a window.
type gramUse struct {
	gram uint32
	ref  ref
}

func (f *filter) grams() []gramUse {
	uses := make([]gramUse, 0, len(f.windows)*stride)
	for i, w := range f.windows {
		for back := range stride {
			uses = append(uses, gramUse{uint32(w.text >> (8 * back)), newRef(i, back, false)})
		}
	}
	slices.SortFunc(uses, func(a, b gramUse) int {
		return cmp.Or(cmp.Compare(a.gram, b.gram), cmp.Compare(a.ref, b.ref))
	})
	return uses
}

func (f *filter) fill(uses []gramUse) {
	distinct := 0
	for i := range uses {
		if i == 0 || uses[i].gram != uses[i-1].gram {
			distinct++
		}
	}
	tableBits := max(bits.Len(uint(2*distinct)), 4)
	bitmapBits := min(tableBits+4, maxBitmapBits)
	f.shift, f.tshift = uint8(32-bitmapBits), uint8(32-tableBits)
	f.bitmap = make([]uint64, max(1<<bitmapBits/64, 1))
	f.table = make([]slot, 1<<tableBits)
	f.refs = slices.Grow(f.refs, len(uses))
	for i, u := range uses {
		if i == 0 || u.gram != uses[i-1].gram {
			f.insert(u.gram, uint32(len(f.refs)))
		}
		if i == len(uses)-1 || u.gram != uses[i+1].gram {
			u.ref |= 1
		}
		f.refs = append(f.refs, u.ref)
	}
}

func (f *filter) insert(gram, refs uint32) {
	h := hashGram(gram)
	bit := h >> f.shift
	f.bitmap[bit>>6] |= 1 << (bit & 63)
	i := h >> f.tshift
	for f.table[i].refs != 0 {
		i = (i + 1) & uint32(len(f.table)-1)
	}
	f.table[i] = slot{gram, refs}
}

// scan adds to found the windows that stand in b, as far as a gram at or
// behind from shows them, and gives the place to go on from when b has grown,
// and a measure of the work. Unless final, a gram is looked at only when each
// window that can hold it has arrived too.
func (f *filter) scan(b []byte, from int, final bool, found *foundWindows) (next, work int) {
	end := len(b) - windowSize
	if final {
		end = len(b) - gramSize
	}
	bitmap, shift := f.bitmap, f.shift&31
	if len(bitmap) == 0 {
		return from, 0
	}
	last := len(bitmap) - 1 // a power of two, less one
	i := from
	for ; i+3*stride <= end; i += 4 * stride {
		c := (*[3*stride + gramSize]byte)(b[i:])
		h0 := hashGram(binary.LittleEndian.Uint32(c[:])|foldGram) >> shift
		h1 := hashGram(binary.LittleEndian.Uint32(c[stride:])|foldGram) >> shift
		h2 := hashGram(binary.LittleEndian.Uint32(c[2*stride:])|foldGram) >> shift
		h3 := hashGram(binary.LittleEndian.Uint32(c[3*stride:])|foldGram) >> shift
		b0 := bitmap[int(h0>>6)&last] >> (h0 & 63)
		b1 := bitmap[int(h1>>6)&last] >> (h1 & 63)
		b2 := bitmap[int(h2>>6)&last] >> (h2 & 63)
		b3 := bitmap[int(h3>>6)&last] >> (h3 & 63)
		if (b0|b1|b2|b3)&1 == 0 {
			continue
		}
		for k, bit := range [4]uint64{b0, b1, b2, b3} {
			if bit&1 != 0 {
				work += f.lookUp(b, i+k*stride, found)
			}
		}
	}
	for ; i <= end; i += stride {
		h := hashGram(binary.LittleEndian.Uint32(b[i:])|foldGram) >> shift
		if bitmap[int(h>>6)&last]>>(h&63)&1 != 0 {
			work += f.lookUp(b, i, found)
		}
	}
	return i, work + (i-from)/stride
}

// lookUp finds the windows around the gram at place i.
func (f *filter) lookUp(b []byte, i int, found *foundWindows) (work int) {
	gram := binary.LittleEndian.Uint32(b[i:]) | foldGram
	table := f.table
	slots := uint32(len(table) - 1)
	at := hashGram(gram) >> f.tshift
	for table[at].gram != gram || table[at].refs == 0 {
		if table[at].refs == 0 {
			return 1
		}
		at = (at + 1) & slots
	}
	for r := table[at].refs; ; r++ {
		ref := f.refs[r]
		work++
		if start := i - ref.back(); start >= 0 && start+windowSize <= len(b) {
			w := ref.window()
			if binary.LittleEndian.Uint64(b[start:])|foldWindow == f.windows[w].text {
				found.add(w)
			}
		}
		if ref.last() {
			return work
		}
	}
}

// foldText gives the window at the start of text.
func foldText(text []byte) uint64 { return binary.LittleEndian.Uint64(text) | foldWindow }
