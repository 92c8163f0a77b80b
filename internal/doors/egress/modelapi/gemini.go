package modelapi

import (
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// gemini is the Generative Language API (ai.google.dev/api/generate-content). Its
// JSON is that of protocol buffers, which takes snake_case for camelCase.
func gemini() wire {
	body := geminiBody()
	model := `^/v1beta/models/[A-Za-z0-9._-]+:`
	return wire{
		endpoints: []endpoint{
			{http.MethodPost, regexp.MustCompile(model + `generateContent$`), nil, body},
			{http.MethodPost, regexp.MustCompile(model + `streamGenerateContent$`), []string{"alt=sse"}, body},
			{http.MethodPost, regexp.MustCompile(model + `countTokens$`), nil, object(fields{
				"contents": each(geminiContent()), "generateContentRequest": body,
			})},
		},
		prefixes: []string{"x-goog-"},
		headers:  map[string]func(*judge, string){"x-goog-api-client": anyValue, "x-goog-api-key": anyValue},
		rename:   camelCase,
	}
}

// camelCase spells a key as protocol buffers' JSON does.
func camelCase(key string) string {
	if !strings.Contains(key, "_") {
		return key
	}
	var b strings.Builder
	upper := false
	for _, r := range key {
		if r == '_' {
			upper = true
			continue
		}
		if upper {
			r, upper = unicode.ToUpper(r), false
		}
		b.WriteRune(r)
	}
	return b.String()
}

func geminiBody() rule {
	content := geminiContent()
	return object(with(fields{
		"contents":          each(content),
		"systemInstruction": content,
		"tools":             each(geminiTool()),
		// What was cached may hold tools that can't be seen here.
		"cachedContent": feature(Stored),
		"generationConfig": object(with(fields{
			"responseSchema": schema, "responseJsonSchema": schema, "_responseJsonSchema": schema,
		}, "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseMimeType",
			"responseModalities", "thinkingConfig", "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs",
			"mediaResolution", "speechConfig", "imageConfig", "enableEnhancedCivicAnswers")),
	}, "model", "toolConfig", "safetySettings"))
}

func geminiContent() rule {
	var part rule
	parts := each(func(j *judge, at string, v value) { part(j, at, v) })
	part = object(with(fields{
		"functionResponse":    object(with(fields{"parts": parts}, "id", "name", "response", "willContinue", "scheduling")),
		"fileData":            fileData,
		"executableCode":      feature(CodeExecution),
		"codeExecutionResult": feature(CodeExecution),
	}, "text", "thought", "thoughtSignature", "inlineData", "functionCall", "videoMetadata", "mediaResolution"))
	return textOr(object(fields{"role": anything, "parts": parts}))
}

// fileData is a URL: of the account's files, or of anything.
func fileData(j *judge, at string, v value) {
	uri, _ := v.get("fileUri")
	if uri.raw != nil && strings.HasPrefix(uri.text(), "https://generativelanguage.googleapis.com/v1beta/files/") {
		j.allows(Files, quoted(at))
		return
	}
	j.allows(URLSources, quoted(at))
}

// geminiTool is a set of tools, named by its keys.
func geminiTool() rule {
	declaration := object(with(fields{
		"parameters": schema, "parametersJsonSchema": schema, "response": schema, "responseJsonSchema": schema,
	}, "name", "description", "behavior"))
	return object(fields{
		"functionDeclarations":  each(declaration),
		"googleSearch":          always(WebSearch),
		"googleSearchRetrieval": always(WebSearch),
		"googleMaps":            always(WebSearch),
		"urlContext":            always(WebFetch),
		"codeExecution":         always(CodeExecution),
		"fileSearch":            always(Files),
		"mcpServers":            feature(MCPServers),
	})
}

// always needs the feature whatever the value is: there "{}" asks for the tool.
func always(name string) rule {
	return func(j *judge, at string, _ value) { j.allows(name, quoted(at)) }
}
