package attack

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Pack gathers the objects of a push, without git (gitformat-pack(5)). The zero value
// is empty.
type Pack struct {
	objects []object
}

type object struct {
	kind byte
	data []byte
}

// Kinds of objects, as a pack numbers them.
const (
	kindCommit = 1
	kindTree   = 2
	kindBlob   = 3
)

func (p *Pack) add(kind byte, name string, data []byte) (id string) {
	p.objects = append(p.objects, object{kind, data})
	sum := sha1.Sum(append(fmt.Appendf(nil, "%s %d\x00", name, len(data)), data...))
	return hex.EncodeToString(sum[:])
}

// Blob adds the content of a file and gives its id.
func (p *Pack) Blob(content string) string { return p.add(kindBlob, "blob", []byte(content)) }

// Entry is one of a tree.
type Entry struct{ Mode, Name, ID string }

// File is an ordinary file with the content of a blob.
func File(name, id string) Entry { return Entry{"100644", name, id} }

func folder(name, id string) Entry { return Entry{"40000", name, id} }

// Tree adds a folder and gives its id. What an entry is called is not looked at.
func (p *Pack) Tree(entries ...Entry) string {
	key := func(e Entry) string {
		if e.Mode == "40000" {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(key(a), key(b)) })
	var data []byte
	for _, e := range entries {
		id, _ := hex.DecodeString(e.ID)
		data = append(fmt.Appendf(data, "%s %s\x00", e.Mode, e.Name), id...)
	}
	return p.add(kindTree, "tree", data)
}

// path adds a file at a path below folders, and gives the tree of the uppermost.
func (p *Pack) path(path, content string) string {
	parts := strings.Split(path, "/")
	entry := File(parts[len(parts)-1], p.Blob(content))
	for _, name := range slices.Backward(parts[:len(parts)-1]) {
		entry = folder(name, p.Tree(entry))
	}
	return p.Tree(entry)
}

// Commit adds a commit of a tree and gives its id.
func (p *Pack) Commit(tree, message string, parents ...string) string {
	return p.commitBy("Ada <ada@example.com>", tree, message, parents...)
}

func (p *Pack) commitBy(author, tree, message string, parents ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, parent := range parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s 1700000000 +0000\ncommitter %s 1700000000 +0000\n\n%s\n", author, author, message)
	return p.add(kindCommit, "commit", []byte(b.String()))
}

// bytes is the pack as it is sent.
func (p *Pack) bytes() []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	binary.Write(&b, binary.BigEndian, [2]uint32{2, uint32(len(p.objects))})
	for _, o := range p.objects {
		size := len(o.data)
		head := o.kind<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			b.WriteByte(head | 0x80)
			head = byte(size & 0x7f)
		}
		b.WriteByte(head)
		z := zlib.NewWriter(&b)
		z.Write(o.data)
		z.Close()
	}
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

// Flush ends a list of packets (gitprotocol-common(5)).
const Flush = "0000"

// AppendPacket adds payload as one pkt-line.
func AppendPacket(b []byte, payload string) []byte {
	return append(fmt.Appendf(b, "%04x", len(payload)+4), payload...)
}

// Update is one ref that a push makes, moves or removes. An empty id means none.
type Update struct{ Old, New, Ref string }

// capabilities are what a client asks for that reads the answer by bands.
const capabilities = "report-status side-band-64k object-format=sha1 agent=git/2"

// PushBody is what a client sends to push (gitprotocol-pack(5), "Pushing Data To a
// Server").
func PushBody(pack *Pack, updates ...Update) []byte { return pushBody(capabilities, pack, updates...) }

func pushBody(capabilities string, pack *Pack, updates ...Update) []byte {
	none := strings.Repeat("0", 40)
	var b []byte
	for i, u := range updates {
		line := cmp.Or(u.Old, none) + " " + cmp.Or(u.New, none) + " " + u.Ref
		if i == 0 {
			line += "\x00 " + capabilities
		}
		b = AppendPacket(b, line+"\n")
	}
	return append(append(b, Flush...), pack.bytes()...)
}
