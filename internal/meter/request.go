package meter

import (
	"math"
	"strings"
)

// DefaultOutput is what is set aside for the output of a request that doesn't bound it:
// as much as agents that bound it ask for.
const DefaultOutput = 32_000

// Request is what of a call is known before it is made.
type Request struct {
	Model  string
	Bytes  int64 // of its body
	Output int64 // tokens that it allows at most, or DefaultOutput
}

// Most estimates what the call may take: all of its input anew, by its bytes, and all
// of the output that it allows. It is what a call counts of which no answer came.
func (r Request) Most() Usage {
	return Usage{Input: tokensOf(r.Bytes), Output: r.Output, Estimated: true}
}

const (
	atMost  = output // of each answer
	howMany = input  // how many
)

// requestFields are where requests say their model and bound their output. Protocol
// buffers' JSON takes both spellings.
var requestFields = map[string]field{
	"model": modelName, "max_tokens": atMost, "max_output_tokens": atMost, "max_completion_tokens": atMost, "n": howMany,
	"generationConfig.maxOutputTokens": atMost, "generationConfig.max_output_tokens": atMost,
	"generation_config.maxOutputTokens": atMost, "generation_config.max_output_tokens": atMost,
	"generationConfig.candidateCount": howMany, "generationConfig.candidate_count": howMany,
	"generation_config.candidateCount": howMany, "generation_config.candidate_count": howMany,
}

// NewRequest reads what a request asks for, of a path and a whole body.
func NewRequest(wire Wire, path string, body []byte) Request {
	d := document{watch: requestFields, limit: math.MaxInt64}
	s := scanner{found: d.take, ended: func() {}}
	s.write(body)
	model, most, many := d.model, d.numbers[atMost], d.numbers[howMany]
	if wire == Gemini {
		model = geminiModel(path)
	}
	output := int64(DefaultOutput)
	switch {
	case d.untrue: // another parser may take it for any number
		output = MaxTokens
	case most > 0:
		output = min(most, MaxTokens)
	}
	output = min(output*min(max(many, 1), MaxTokens), MaxTokens)
	return Request{Model: model, Bytes: int64(len(body)), Output: output}
}

// geminiModel gives MODEL of /v1beta/models/MODEL:generateContent.
func geminiModel(path string) string {
	_, rest, _ := strings.Cut(path, "/models/")
	model, _, _ := strings.Cut(rest, ":")
	return model
}
