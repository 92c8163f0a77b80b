package doors

import (
	"fmt"
	"net"
	"slices"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/mutation"
)

// RulePeer refuses a connection of a user that the configuration doesn't list.
const RulePeer = "peer-not-listed"

// peerListener gives connections of listed users only. The remote address of
// each is "uid/pid".
type peerListener struct {
	*net.UnixListener
	door    decision.Door
	allowed []int
	log     decision.Log
	epoch   func() uint64
}

// Accept waits for the next connection of a listed user.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, pid, err := peerOf(conn)
		if err == nil && (slices.Contains(l.allowed, uid) || mutation.On(mutation.DoorAnyUser)) {
			return &peerConn{conn, peer{uid, pid}}, nil
		}
		conn.Close()
		l.refuse(peer{uid, pid}, err)
	}
}

// refuse records a connection that was closed at once. Where it can't be recorded
// there is nothing else to do.
func (l *peerListener) refuse(p peer, cause error) {
	line := decision.Line{Door: l.door, Epoch: l.epoch(), Verdict: decision.Refuse, Rule: RulePeer, Peer: p.String()}
	if cause != nil {
		line.Error = cause.Error()
	}
	if id, err := l.log.Verdict(line); err == nil {
		l.log.End(id, decision.Line{Door: l.door, Rule: RulePeer})
	}
}

// peerConn is a connection that knows who connected.
type peerConn struct {
	*net.UnixConn
	peer peer
}

// RemoteAddr gives who connected.
func (c *peerConn) RemoteAddr() net.Addr { return c.peer }

// peer is a process on this host, as an address.
type peer struct{ uid, pid int }

// Network gives "unix".
func (peer) Network() string { return "unix" }

// String gives "uid/pid".
func (p peer) String() string { return fmt.Sprintf("%d/%d", p.uid, p.pid) }
