// Package dlp looks for secrets in what leaves by the egress door, and for the door's
// own tokens and words that mean to take an agent over in what comes back. It is an egress.Scanner.
//
//	s, err := dlp.New(dlp.Options{Known: secrets, Tokens: injected})
//	door, err := egress.New(egress.Options{Scanner: s, …})
//
// It promises, of routes that don't switch it off, that
//
//   - a known secret, in one of the forms that package needles knows, is not passed on
//     in a request's host, path, query, header or body, in a trailer's place, or in a
//     frame of a WebSocket, but for at most Lead of its characters that were sent
//     before the rest of it came;
//   - what gitleaks' rules take for a secret isn't either, within one piece of a body
//     and its neighbour;
//   - a body whose encoding it can't undo is refused;
//   - an error of its own refuses the request;
//   - a token that the door adds comes back masked, or not at all;
//   - of an answer that has several phrases of an injection, what follows them doesn't come.
//
// It does not promise to find a secret that is encrypted, spelt in a way that package
// needles doesn't know, or sent a few characters at a time in many requests. Fields in
// which a route lets the agent's own credentials pass are not looked at.
package dlp
