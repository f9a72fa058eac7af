package link

import "golang.org/x/net/bpf"

// A program is a filter in the making, whose jumps go to labels. They lead
// forwards only and no further than 255 instructions, as in every such filter.
type program struct {
	ins    []bpf.Instruction
	labels map[string]int
	jumps  map[int][2]string // where a true and a false condition lead
	base   uint32            // where the IP header begins
}

// Labels that every filter has.
const (
	accept = "accept"
	drop   = "drop"
)

// snap is how much of a frame is kept: all, as no frame is longer.
const snap = 1 << 18

func newProgram(m Medium) *program {
	p := &program{labels: map[string]int{}, jumps: map[int][2]string{}}
	if m == Ethernet {
		p.base = 14
	}
	return p
}

// add appends instructions.
func (p *program) add(ins ...bpf.Instruction) { p.ins = append(p.ins, ins...) }

// label names the next instruction.
func (p *program) label(name string) { p.labels[name] = len(p.ins) }

// jump compares A with val. An empty label leads to the next instruction.
func (p *program) jump(cond bpf.JumpTest, val uint32, yes, no string) {
	p.jumps[len(p.ins)] = [2]string{yes, no}
	p.add(bpf.JumpIf{Cond: cond, Val: val})
}

// match goes to yes where A is one of vals, and on to no otherwise.
func (p *program) match(yes, no string, vals ...uint32) {
	for i, v := range vals {
		if i == len(vals)-1 {
			p.jump(bpf.JumpEqual, v, yes, no)
		} else {
			p.jump(bpf.JumpEqual, v, yes, "")
		}
	}
}

// load reads size bytes at X + off.
func (p *program) load(off uint32, size int) { p.add(bpf.LoadIndirect{Off: off, Size: size}) }

// advance adds A to X.
func (p *program) advance() { p.add(bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{}) }

// end appends the two results and resolves the jumps.
func (p *program) end() []bpf.Instruction {
	p.label(accept)
	p.add(bpf.RetConstant{Val: snap})
	p.label(drop)
	p.add(bpf.RetConstant{Val: 0})
	for at, to := range p.jumps {
		j := p.ins[at].(bpf.JumpIf)
		j.SkipTrue, j.SkipFalse = p.skip(at, to[0]), p.skip(at, to[1])
		p.ins[at] = j
	}
	return p.ins
}

func (p *program) skip(at int, label string) uint8 {
	if label == "" {
		return 0
	}
	to, ok := p.labels[label]
	if n := to - at - 1; ok && n >= 0 && n <= 255 {
		return uint8(n)
	}
	panic("link: filter jumps to " + label + ", which is not within reach") // tests build each
}
