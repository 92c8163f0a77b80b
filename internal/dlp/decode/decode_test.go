package decode_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/bot-bottle/action/internal/dlp/decode"
)

// codec is an encoding, by its name in Content-Encoding.
type codec struct {
	name   string
	encode func(io.Writer) io.WriteCloser
	decode func(io.Reader) (io.Reader, error)
}

var codecs = []codec{
	{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }},
	{"Deflate", func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z }, // raw
		func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }},
	{"br", func(w io.Writer) io.WriteCloser { return brotli.NewWriterLevel(w, 4) },
		func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }},
	{"zstd", func(w io.Writer) io.WriteCloser {
		z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		return z
	}, func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) }},
}

func encoded(t testing.TB, c codec, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := c.encode(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// text is n bytes that compress somewhat.
func text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, `{"id":%d,"text":"%x"}`, r.IntN(1000), r.Uint64())
	}
	return b[:n]
}

// outcome is what a decoder gave at each depth, and how it ended.
type outcome struct {
	out [decode.MaxDepth + 1][]byte
	err error
}

// run decodes the chunks.
func run(t testing.TB, contentEncoding string, o decode.Options, chunks ...[]byte) (got outcome) {
	t.Helper()
	d, err := decode.New(contentEncoding, o, func(depth int, p []byte) error {
		got.out[depth] = append(got.out[depth], p...)
		return nil
	})
	if err != nil {
		got.err = err
		return got
	}
	defer d.Close()
	for _, c := range chunks {
		if _, got.err = d.Write(c); got.err != nil {
			return got
		}
	}
	got.err = d.Finish()
	return got
}

func wantFault(t *testing.T, what string, err error, kinds ...decode.Kind) {
	t.Helper()
	var f *decode.Fault
	if !errors.As(err, &f) {
		t.Errorf("%s: %v, want a fault of kind %v", what, err, kinds)
		return
	}
	for _, k := range kinds {
		if f.Kind == k {
			return
		}
	}
	t.Errorf("%s: %v, want kind %v", what, err, kinds)
}

func chunked(b []byte, n int) (chunks [][]byte) {
	for len(b) > 0 {
		chunks = append(chunks, b[:min(n, len(b))])
		b = b[min(n, len(b)):]
	}
	return chunks
}

func TestEachEncodingIsUndoneInAnySplit(t *testing.T) {
	for _, c := range codecs {
		for _, n := range []int{0, 1, 100, 10_000, 300_000} {
			data := text(uint64(n), n)
			stream := encoded(t, c, data)
			for _, size := range []int{1, 7, 4096, 1 << 20} {
				if size == 1 && n > 50_000 {
					continue
				}
				if got := run(t, c.name, decode.Options{}, chunked(stream, size)...); got.err != nil || !bytes.Equal(got.out[1], data) {
					t.Errorf("%s of %d bytes in chunks of %d: %d bytes, %v", c.name, n, size, len(got.out[1]), got.err)
				}
			}
		}
	}
}

func TestTwoEncodingsAreUndoneAndThreeAreNot(t *testing.T) {
	data := text(1, 100_000)
	for _, inner := range codecs {
		once := encoded(t, inner, data)
		for _, outer := range codecs {
			twice := encoded(t, outer, once)
			got := run(t, inner.name+", "+outer.name, decode.Options{}, chunked(twice, 1000)...)
			if got.err != nil || !bytes.Equal(got.out[2], data) || !bytes.Equal(got.out[1], once) {
				t.Errorf("%s in %s: %v", inner.name, outer.name, got.err)
			}
			wantFault(t, "three", run(t, "gzip, "+inner.name+", "+outer.name, decode.Options{}).err, decode.TooDeep)
			if inner.name == "gzip" {
				if got := run(t, outer.name, decode.Options{}, twice); got.err != nil || !bytes.Equal(got.out[2], data) {
					t.Errorf("a gzip sniffed in %s: %v", outer.name, got.err)
				}
				thrice := encoded(t, codecs[0], encoded(t, codecs[4], once))
				wantFault(t, "three sniffed", run(t, "", decode.Options{}, thrice).err, decode.TooDeep)
			}
		}
	}
}

func TestFirstBytesTellOfEncodings(t *testing.T) {
	data := text(2, 50_000)
	for _, c := range codecs {
		stream := encoded(t, c, data)
		got := run(t, "", decode.Options{}, chunked(stream, 3)...)
		want := c.name == "gzip" || c.name == "deflate" || c.name == "zstd"
		if got.err != nil || want != bytes.Equal(got.out[1], data) {
			t.Errorf("%s: %d bytes, %v", c.name, len(got.out[1]), got.err)
		}
	}
	for _, magic := range []string{"\xfd7zXZ\x00", "BZh91AY&SY", "\x04\x22\x4d\x18", "PK\x03\x04", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07", "LZIP", "\x1f\x9d"} {
		wantFault(t, magic, run(t, "", decode.Options{}, []byte(magic+"more of it")).err, decode.Unknown)
		wantFault(t, "in gzip: "+magic, run(t, "gzip", decode.Options{}, encoded(t, codecs[0], []byte(magic+"more"))).err, decode.Unknown)
	}
}

func TestTextThatLooksLikeZlibIsText(t *testing.T) {
	for _, s := range []string{"x^2 + y^2", "x\x9c", "x\x01nothing"} {
		if got := run(t, "", decode.Options{}, []byte(s[:1]), []byte(s[1:]), []byte(strings.Repeat("z", 1000))); got.err != nil {
			t.Errorf("%q: %v", s, got.err)
		}
	}
	if got := run(t, "gzip", decode.Options{}, encoded(t, codecs[0], []byte("x^2 + y^2"))); got.err != nil || string(got.out[1]) != "x^2 + y^2" {
		t.Error(got)
	}
}

func TestWhatIsNotEncodedPasses(t *testing.T) {
	for _, declared := range []string{"", "identity", " identity , "} {
		if got := run(t, declared, decode.Options{}, []byte("hello"), []byte("world")); got.err != nil || len(got.out[1]) > 0 {
			t.Errorf("%q: %v", declared, got)
		}
	}
}

func TestUnknownEncodingsAreFaults(t *testing.T) {
	for _, declared := range []string{"compress", "gzip, aes128gcm", "exi", "dcb", "gzip;q=1", "gzip gzip", "\x00"} {
		wantFault(t, declared, run(t, declared, decode.Options{}).err, decode.Unknown)
	}
}

func TestBrokenStreamsAreFaults(t *testing.T) {
	for _, c := range codecs {
		stream := encoded(t, c, text(3, 200_000))
		for _, at := range []int{1, len(stream) / 2, len(stream) - 1} {
			wantFault(t, fmt.Sprintf("%s cut at %d", c.name, at), run(t, c.name, decode.Options{}, chunked(stream[:at], 999)...).err, decode.Broken)
		}
		wantFault(t, c.name+" of noise", run(t, c.name, decode.Options{}, bytes.Repeat([]byte{0xff, 0x01, 0x77}, 100)).err, decode.Broken)
		wantFault(t, c.name+" and more", run(t, c.name, decode.Options{}, append(bytes.Clone(stream), "#!/bin/sh and the rest"...)).err, trailing(c.name))
		if c.name == "gzip" || c.name == "deflate" {
			flipped := bytes.Clone(stream)
			flipped[len(flipped)-2] ^= 1
			wantFault(t, c.name+" with another checksum", run(t, c.name, decode.Options{}, flipped).err, decode.Broken)
		}
	}
}

// trailing is what bytes after a stream are: those of br and zstd tell by their own
// errors that it goes on badly.
func trailing(name string) decode.Kind {
	if name == "br" || name == "zstd" {
		return decode.Broken
	}
	return decode.Trailing
}

func TestManyMembersAreOneStream(t *testing.T) {
	for _, i := range []int{0, 4} {
		c := codecs[i]
		stream := slices.Concat(encoded(t, c, []byte("one ")), encoded(t, c, nil), encoded(t, c, []byte("two")))
		if got := run(t, c.name, decode.Options{}, chunked(stream, 5)...); got.err != nil || string(got.out[1]) != "one two" {
			t.Errorf("%s: %q, %v", c.name, got.out[1], got.err)
		}
	}
}

func TestBombsAreFaultsBeforeTheyAreLarge(t *testing.T) {
	zeros := make([]byte, 24<<20)
	for _, c := range codecs {
		bomb := encoded(t, c, zeros)
		got := run(t, c.name, decode.Options{}, bomb)
		wantFault(t, c.name, got.err, decode.TooLarge)
		if len(got.out[1]) > 12<<20 {
			t.Errorf("%s: it gave %d bytes", c.name, len(got.out[1]))
		}
		got = run(t, c.name, decode.Options{MaxBytes: 100_000, MaxRatio: 1 << 40}, bomb)
		wantFault(t, c.name, got.err, decode.TooLarge)
		if len(got.out[1]) > 100_000 {
			t.Errorf("%s: it gave %d bytes", c.name, len(got.out[1]))
		}
		nested := encoded(t, codecs[0], bomb)
		wantFault(t, c.name+" in gzip", run(t, c.name+", gzip", decode.Options{}, nested).err, decode.TooLarge)
	}
}

// TestNothingSettledHoldsWhatWasNotGiven compares with what a receiver gets out of the
// settled bytes alone, if it keeps what comes before an error.
func TestNothingSettledHoldsWhatWasNotGiven(t *testing.T) {
	data := text(4, 300_000)
	for _, c := range codecs {
		stream := encoded(t, c, data)
		var given, most int64
		d, err := decode.New(c.name, decode.Options{}, func(_ int, p []byte) error { given += int64(len(p)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		written := int64(0)
		for _, chunk := range chunked(stream, 1500) {
			if _, err := d.Write(chunk); err != nil {
				t.Fatal(err)
			}
			written += int64(len(chunk))
			settled := d.Settled()
			if settled > written {
				t.Fatalf("%s: %d of %d bytes are settled", c.name, settled, written)
			}
			most = max(most, written-settled)
			if r, err := c.decode(bytes.NewReader(stream[:settled])); err == nil {
				n, _ := io.Copy(io.Discard, r)
				if n > given {
					t.Fatalf("%s: %d settled bytes hold %d, of which %d were given", c.name, settled, n, given)
				}
			}
		}
		if err := d.Finish(); err != nil || d.Settled() != written {
			t.Errorf("%s: %d of %d settled at the end, %v", c.name, d.Settled(), written, err)
		}
		d.Close()
		t.Logf("%s: at most %d bytes waited", c.name, most)
		if most > 140<<10 {
			t.Errorf("%s: %d bytes waited", c.name, most)
		}
	}
}

func TestFlushedDataIsGivenAtOnce(t *testing.T) {
	for _, c := range codecs {
		var b bytes.Buffer
		w := c.encode(&b)
		var given bytes.Buffer
		d, err := decode.New(c.name, decode.Options{}, func(_ int, p []byte) error { given.Write(p); return nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			fmt.Fprintf(w, "message %d;", i)
			if err := w.(interface{ Flush() error }).Flush(); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(b.Bytes()); err != nil {
				t.Fatal(err)
			}
			b.Reset()
			if want := fmt.Sprintf("message %d;", i); !strings.HasSuffix(given.String(), want) {
				t.Fatalf("%s: after %q was flushed, the end is %q", c.name, want, given.String())
			}
		}
		d.Close()
	}
}

func TestTheSinksErrorEndsIt(t *testing.T) {
	mine := errors.New("found")
	d, err := decode.New("gzip", decode.Options{}, func(int, []byte) error { return mine })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write(encoded(t, codecs[0], []byte("secret"))); err != mine {
		t.Error(err)
	}
	if _, err := d.Write([]byte("x")); err != mine {
		t.Error(err)
	}
	if err := d.Finish(); err != mine {
		t.Error(err)
	}
}

func TestNothingRunsAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range codecs {
		stream := encoded(t, c, text(5, 10_000))
		for _, n := range []int{0, 1, len(stream) / 2, len(stream)} {
			d, err := decode.New(c.name, decode.Options{}, func(int, []byte) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(stream[:n]); err != nil {
				t.Fatal(err)
			}
			d.Close()
			d.Close()
			if _, err := d.Write(stream[n:]); err == nil {
				t.Error("a closed decoder takes more")
			}
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range codecs {
		f.Add(c.name, encoded(f, c, text(6, 500)), uint8(7))
		f.Add("gzip, "+c.name, encoded(f, c, encoded(f, codecs[0], text(6, 50))), uint8(200))
	}
	f.Add("", []byte("x\x9c"), uint8(1))
	f.Fuzz(func(t *testing.T, contentEncoding string, stream []byte, size uint8) {
		o := decode.Options{MaxBytes: 2 << 20, MaxRatio: 50}
		one := run(t, contentEncoding, o, stream)
		many := run(t, contentEncoding, o, chunked(stream, 1+int(size))...)
		for depth := range one.out {
			if int64(len(one.out[depth])) > o.MaxBytes || int64(len(many.out[depth])) > o.MaxBytes {
				t.Fatal("it gave more than the bound")
			}
			if one.err == nil && !bytes.Equal(one.out[depth], many.out[depth]) {
				t.Fatalf("in chunks of %d, depth %d differs", 1+int(size), depth)
			}
		}
		if !sameFault(one.err, many.err) {
			t.Fatalf("in one: %v; in chunks of %d: %v", one.err, 1+int(size), many.err)
		}
	})
}

// sameFault tells whether both ended well, or both with a fault. Which bound or break is
// met first may depend on the chunks, as the ratio looks at what came in so far.
func sameFault(a, b error) bool {
	var fa, fb *decode.Fault
	if a == nil || b == nil {
		var f *decode.Fault
		tooLarge := errors.As(errors.Join(a, b), &f) && f.Kind == decode.TooLarge
		return a == b || tooLarge
	}
	return errors.As(a, &fa) && errors.As(b, &fb)
}

func BenchmarkDecode(b *testing.B) {
	data := text(7, 4<<20)
	for _, c := range codecs {
		stream := chunked(encoded(b, c, data), 32<<10)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				d, err := decode.New(c.name, decode.Options{}, func(int, []byte) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				for _, p := range stream {
					if _, err := d.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				if err := d.Finish(); err != nil {
					b.Fatal(err)
				}
				d.Close()
			}
		})
	}
}
