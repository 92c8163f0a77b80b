// Package sshserver answers commands over SSH, as a forge's server does, for the doubles
// and stand-ins of one: no shell, no files, no forwarding. Whoever has a key that is let
// in may ask; what a command does is its owner's.
package sshserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is the server. All but Limit are required.
type Server struct {
	Host  ssh.Signer                   // by which it shows who it is
	Allow func(key ssh.PublicKey) bool // whom it lets in
	// Run answers a command on the channel, whose error stream is the client's too, and
	// gives its exit status.
	Run   func(command string, channel ssh.Channel) (status uint32)
	Limit time.Duration // of a connection; 0: none
}

// Serve answers on l until it is closed. Connections go on until their clients end them.
func (s Server) Serve(l net.Listener) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.Allow(key) {
			return nil, nil
		}
		return nil, errors.New("the key is not registered")
	}}
	config.AddHostKey(s.Host)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go s.connection(conn, config)
	}
}

func (s Server) connection(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	if s.Limit > 0 {
		conn.SetDeadline(time.Now().Add(s.Limit))
	}
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go s.session(channel, requests)
	}
}

// session answers one command (RFC 4254, section 6.5), and nothing else.
func (s Server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		status := s.Run(exec.Command, channel)
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

// NewSigner gives a new key, and its PEM.
func NewSigner() (ssh.Signer, string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return signer, string(pem.EncodeToMemory(block)), err
}
