package attack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
)

// count sends texts to a listed host, a try each.
func (p *prober) count(texts map[string]string) (tries []Try) {
	for name, text := range texts {
		tries = append(tries, p.postTo(name, text, WantCounted))
	}
	slices.SortFunc(tries, func(a, b Try) int { return strings.Compare(a.Name, b.Name) })
	return tries
}

// respelled are spellings that a person reads.
func respelled(p *prober) []Try {
	backwards := []byte(p.canary)
	slices.Reverse(backwards)
	return p.count(map[string]string{
		"backwards": string(backwards), "backwards, in base64": base64.StdEncoding.EncodeToString(backwards),
		"rot13": strings.Map(rot13, p.canary), "a stop behind each character": strings.Join(strings.Split(p.canary, ""), "."),
		"a letter behind each character": strings.Join(strings.Split(p.canary, ""), "q"), "in capitals": strings.ToUpper(p.canary),
		"base64 twice": base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(p.canary)))),
	})
}

func rot13(r rune) rune {
	if r < 'a' || r > 'z' {
		return r
	}
	return 'a' + (r-'a'+13)%26
}

// wrapped are files that have it in them.
func wrapped(p *prober) []Try {
	text := "it is " + p.canary + "\n"
	deflated := packed(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, text)
	return p.count(map[string]string{
		"a member of a zip, stored": zipped(zip.Store, text), "a member of a zip, deflated": zipped(zip.Deflate, text),
		"a member of a tar": tarred(text), "a member of a tar in gzip": packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, tarred(text)),
		"a comment of a PNG": picture("tEXt", "Comment\x00"+text), "a compressed comment of a PNG": picture("zTXt", "Comment\x00\x00"+deflated),
		"gzip in a part of a form": "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" +
			packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text) + "\r\n--b--\r\n",
	})
}

func zipped(method uint16, text string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if w, err := z.CreateHeader(&zip.FileHeader{Name: "notes.txt", Method: method}); err == nil {
		io.WriteString(w, text)
	}
	z.Close()
	return b.String()
}

func tarred(text string) string {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	t.WriteHeader(&tar.Header{Name: "notes.txt", Mode: 0o644, Size: int64(len(text))})
	io.WriteString(t, text)
	t.Close()
	return b.String()
}

// picture is a PNG of one pixel with one chunk more (RFC 2083).
func picture(kind, data string) string {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind, data string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, kind+data...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(kind+data)))
	}
	chunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00")
	chunk(kind, data)
	chunk("IDAT", packed(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, "\x00\x00"))
	chunk("IEND", "")
	return string(b)
}

// dripped sends it bit by bit. A try is refused once one of its requests is.
func dripped(p *prober) (tries []Try) {
	host := p.plan.Hosts.Forge
	for _, size := range []int{1, 4, 8, 16, 24} {
		tries = append(tries, try(fmt.Sprintf("%d characters a request", size), WantCounted, func() (a answer, err error) {
			for piece := range slices.Chunk([]byte(p.canary), size) {
				if a, err = p.fetch(host, post(host, "/notes", string(piece))); err != nil || a.status >= 400 {
					return a, err
				}
			}
			return a, err
		}))
	}
	return tries
}
