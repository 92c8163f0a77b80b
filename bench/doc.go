// Command bench puts the egress door beside other proxies that open TLS: mitmproxy with a
// script, and elazarl/goproxy with the same in Go. All run as processes of their own, one
// after the other, on the same traffic, made by this process, to an upstream in it:
//
//	go run .            every proxy and mode
//	go run . door/all   some of them
//
// Modes: "off" checks the host and adds a token; "known" also looks for 50 secrets in each
// request, the others in five spellings, the door in all that it knows; "all" is the
// door as it comes, with gitleaks' rules and the look at answers, which the others have
// nothing for.
//
// It is a module of its own, so that the product does not depend on what it is compared
// with.
package main
