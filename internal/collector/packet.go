package collector

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// manner is what a packet collector expects: how a touch looks, and what it
// answers, so that a try that got through is told so at once.
type manner struct {
	question func(label string) ([]byte, error)
	answer   func(request []byte) []byte // nil: nothing
}

var plain = manner{
	question: func(label string) ([]byte, error) { return []byte(label), nil },
	answer:   func([]byte) []byte { return []byte("!") },
}

var nameServer = manner{question: probe.Question, answer: noSuchName}

// noSuchName answers a DNS question with NXDOMAIN (RFC 1035, 4.1.1).
func noSuchName(question []byte) []byte {
	const (
		header   = 12
		response = 0x80 // in the third byte
		nxdomain = 3    // in the fourth
	)
	if len(question) < header || question[2]&response != 0 {
		return nil
	}
	answer := append([]byte{}, question...)
	answer[2] |= response
	answer[3] = nxdomain
	return answer
}

// packet collects datagrams.
type packet struct {
	set     *Set
	name    string
	conn    net.PacketConn
	tries   []probe.Try
	manner  manner
	running sync.WaitGroup
}

func (s *Set) newPacket(name string, conn net.PacketConn, tries []probe.Try, m manner) *packet {
	c := &packet{set: s, name: name, conn: conn, tries: tries, manner: m}
	c.running.Go(c.receive)
	return c
}

func (c *packet) describe() probe.Collector {
	return probe.Collector{Name: c.name, Address: c.conn.LocalAddr().String(), Tries: c.tries}
}

func (c *packet) receive() {
	content := make([]byte, maxContent)
	for {
		n, from, err := c.conn.ReadFrom(content)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an answer of ours that was refused
		}
		if answer := c.manner.answer(content[:n]); answer != nil && !c.set.isTouch(content[:n]) {
			c.conn.WriteTo(answer, from)
		}
		c.set.arrived(c.name, from.String(), content[:n])
	}
}

func (c *packet) touch(ctx context.Context, _ int) error {
	question, err := c.manner.question(c.set.token)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", dialled(c.conn.LocalAddr()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(question)
	return err
}

func (c *packet) close() {
	c.conn.Close()
	c.running.Wait()
}
