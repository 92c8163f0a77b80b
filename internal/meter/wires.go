package meter

import (
	"net/http"
	"strings"
)

// Wire is the format of a model's API, named as policy.ModelAPI names it.
type Wire string

// The formats.
const (
	Anthropic Wire = "anthropic" // Messages
	OpenAI    Wire = "openai"    // Responses, chat completions
	Gemini    Wire = "gemini"    // generateContent
)

// dialect is what differs between the formats.
type dialect struct {
	watch map[string]field
	// usage makes one of a document's numbers; false where they contradict each other.
	usage func(d *document) (Usage, bool)
	// final tells whether a document, of a stream or not, has the whole usage.
	final func(d *document, streamed bool) bool
}

var dialects = map[Wire]dialect{
	Anthropic: {anthropicFields(), anthropicUsage, anthropicFinal},
	OpenAI:    {openAIFields(), openAIUsage, bothSides},
	Gemini:    {geminiFields(), geminiUsage, geminiFinal},
}

// below gives fields by the paths that they have in an object.
func below(prefix string, of map[string]field, into map[string]field) {
	for name, f := range of {
		into[prefix+name] = f
	}
}

// anthropicFields are those of platform.claude.com/docs/en/api/messages and of the
// events message_start and message_delta.
func anthropicFields() map[string]field {
	all := map[string]field{"type": eventType}
	one := map[string]field{
		"model": modelName, "usage": holder,
		"usage.input_tokens": input, "usage.output_tokens": output,
		"usage.cache_creation_input_tokens": cacheWrite, "usage.cache_read_input_tokens": cacheRead,
	}
	below("", one, all)
	below("message.", one, all)
	return all
}

func anthropicUsage(d *document) (Usage, bool) {
	n := d.numbers
	return Usage{Input: n[input], Output: n[output], CacheWrite: n[cacheWrite], CacheRead: n[cacheRead]}, true
}

// anthropicFinal: the output that message_start has is that of its first token.
func anthropicFinal(d *document, streamed bool) bool {
	if streamed {
		return d.event == "message_delta" && d.has[output]
	}
	return bothSides(d, streamed)
}

func bothSides(d *document, _ bool) bool { return d.has[input] && d.has[output] }

// openAIFields are those of platform.openai.com/docs/api-reference: responses, the
// event response.completed, and chat completions with the last chunk of a stream.
func openAIFields() map[string]field {
	all := map[string]field{"type": eventType}
	one := map[string]field{
		"model": modelName, "usage": holder,
		"usage.input_tokens": input, "usage.output_tokens": output,
		"usage.input_tokens_details": holder, "usage.input_tokens_details.cached_tokens": cached,
		"usage.prompt_tokens": input, "usage.completion_tokens": output,
		"usage.prompt_tokens_details": holder, "usage.prompt_tokens_details.cached_tokens": cached,
	}
	below("", one, all)
	below("response.", one, all)
	return all
}

func openAIUsage(d *document) (Usage, bool) {
	n := d.numbers
	return Usage{Input: n[input] - n[cached], Output: n[output], CacheRead: n[cached]}, n[cached] <= n[input]
}

// geminiFields are those of ai.google.dev/api/generate-content, UsageMetadata.
func geminiFields() map[string]field {
	return map[string]field{
		"modelVersion": modelName, "usageMetadata": holder,
		"usageMetadata.promptTokenCount": input, "usageMetadata.cachedContentTokenCount": cached,
		"usageMetadata.toolUsePromptTokenCount": toolInput,
		"usageMetadata.candidatesTokenCount":    output, "usageMetadata.thoughtsTokenCount": thoughts,
	}
}

func geminiUsage(d *document) (Usage, bool) {
	n := d.numbers
	return Usage{Input: n[input] - n[cached] + n[toolInput], Output: n[output] + n[thoughts], CacheRead: n[cached]}, n[cached] <= n[input]
}

// geminiFinal: an answer that was blocked has no output.
func geminiFinal(d *document, _ bool) bool { return d.has[input] }

// Free tells of requests that take no tokens: those that only read, and those that
// count tokens.
func Free(method, path string) bool {
	return method == http.MethodGet || method == http.MethodHead || path == "/v1/messages/count_tokens" || strings.HasSuffix(path, ":countTokens")
}
