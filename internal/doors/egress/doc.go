// Package egress is the door for HTTP: a forward proxy that a guest reaches at
// port 9099 of its alias and that refuses whatever the bottle's routes don't
// list.
//
// # What it promises
//
//   - Every request is judged once, on its canonical form, by policy.Matcher, and
//     what was judged is what is sent: path, host and port are written anew.
//   - A verdict line is in the log before the first byte goes upstream, and an end
//     line with the same id after the last. A log that can't be written refuses.
//   - CONNECT neither resolves nor dials. The tunnel is opened with the bottle's
//     own [CA]; the CONNECT host, the TLS server name and each request's Host have
//     to name the same authority, and each request in it is judged anew.
//   - A name is resolved once for each connection, every address is checked, and
//     exactly those addresses are dialled. Names are absolute: no search domain.
//   - The agent's own credentials are dropped unless the route lists their field.
//     A token of ours is added only to requests that go over verified TLS.
//   - A request to a model's API is read whole and judged by package modelapi, and
//     the very bytes that were judged are sent.
//   - What such a request takes is read from the answer as it passes by package meter,
//     and held to the tokens and the cost of the bottle's limits.
//   - Memory is bounded by [Limits]: bodies stream, heads are capped, connections
//     are counted, and an idle one gives way when there are too many.
//
// # What it does not promise
//
// It does not look into other bodies; [Scanner] is the seam for that. It does not stop
// a listed host from passing data on, nor measure how much a guest sends to one.
// HTTP/2 and HTTP/3 are not spoken with the guest. Redirects are not followed:
// what the guest does with one is a new request.
//
// # Use
//
// [New] makes a [Door] from a policy, [Door.Serve] serves a listener until its
// context ends, and [Door.Swap] replaces the policy meanwhile. All are safe for
// concurrent use. The environment of the process (HTTP_PROXY and the like) has no
// influence.
package egress
