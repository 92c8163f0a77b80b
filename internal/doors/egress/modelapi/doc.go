// Package modelapi judges requests to a model provider's API.
//
// Such an API is a general fetcher: asked in the right words it loads pages,
// connects to MCP servers, runs code with a network of its own and keeps files,
// all from outside of the bottle. An agent that may talk to it freely can send
// anything anywhere. So a request passes only if everything in it is known to stay
// between the agent and the model.
//
// # What it promises
//
//   - Endpoint, query and the provider's own header fields are listed ones.
//   - The body is one JSON document in UTF-8 without duplicate keys, of bounded
//     size, depth and number of values, so that no other parser reads it otherwise.
//   - At each place where the provider takes an instruction (top level, tools,
//     messages, content, sources), every key and every type is a listed one.
//   - What is not listed is refused by the name of a feature, and the refusal
//     shows the line of a bottle that would allow it.
//
// # What it does not promise
//
// It does not look into text, tool inputs and results: what the agent tells the
// model is its own affair, and the model's provider reads it. It knows the formats
// as they are documented and as the CLIs of docs/agents send them; what a provider
// adds later is refused until somebody lists it.
package modelapi
