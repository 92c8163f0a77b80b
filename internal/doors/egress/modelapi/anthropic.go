package modelapi

import (
	"net/http"
	"regexp"
)

// anthropicBetas are what Claude Code asks for and what changes nothing but how
// model and agent talk. Those that open another way out (files, MCP, web, code,
// skills) are not among them.
var anthropicBetas = []string{
	"claude-code-20250219", "oauth-2025-04-20", // the client itself and its kind of token
	"context-1m-2025-08-07", "context-management-2025-06-27", "compact-2026-01-12", "model-context-window-exceeded-2025-08-26",
	"interleaved-thinking-2025-05-14", "thinking-token-count-2026-05-13", "redact-thinking-2026-02-12", "effort-2025-11-24",
	"prompt-caching-2024-07-31", "prompt-caching-scope-2026-01-05", "extended-cache-ttl-2025-04-11",
	"mid-conversation-system-2026-04-07", "fine-grained-tool-streaming-2025-05-14", "token-efficient-tools-2025-02-19",
	"advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19", "tool-examples-2025-10-29",
	"structured-outputs-2025-11-13", "structured-outputs-2025-12-15", "token-counting-2024-11-01", "output-128k-2025-02-19",
	"computer-use-2024-10-22", "computer-use-2025-01-24", "computer-use-2025-11-24", "fast-mode-2026-02-01",
}

// anthropic is the Messages API (platform.claude.com/docs/en/api/messages).
func anthropic() wire {
	message := anthropicBody()
	return wire{
		endpoints: []endpoint{
			{http.MethodPost, regexp.MustCompile(`^/v1/messages$`), []string{"beta=true"}, message},
			{http.MethodPost, regexp.MustCompile(`^/v1/messages/count_tokens$`), []string{"beta=true"}, message},
		},
		prefixes: []string{"anthropic-"},
		headers: map[string]func(*judge, string){
			"anthropic-beta":                            listedTokens("beta", anthropicBetas),
			"anthropic-version":                         anyValue,
			"anthropic-dangerous-direct-browser-access": anyValue,
		},
		rename: same,
	}
}

func anthropicBody() rule {
	content := anthropicContent()
	return object(with(fields{
		"system":        textOr(each(content)),
		"messages":      each(object(fields{"role": anything, "content": textOr(each(content))})),
		"tools":         each(anthropicTool()),
		"output_config": object(fields{"effort": anything, "format": schema, "task_budget": anything}),
		"output_format": schema,
		"mcp_servers":   feature(MCPServers),
		"container":     feature(CodeExecution),
	}, "model", "max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p", "thinking", "tool_choice",
		"service_tier", "context_management", "cache_control", "speed", "inference_geo"))
}

// anthropicContent is one block of a message. Blocks are nested in results and
// documents.
func anthropicContent() rule {
	var block rule
	nested := textOr(each(func(j *judge, at string, v value) { block(j, at, v) }))
	source := typed(map[string]rule{
		"base64":  plain("type", "media_type", "data"),
		"text":    plain("type", "media_type", "data"),
		"content": object(fields{"type": anything, "content": nested}),
	}, "", func(typ string, _ value) string {
		return map[string]string{"url": URLSources, "file": Files}[typ]
	})
	block = typed(map[string]rule{
		"text":              plain("type", "text", "citations", "cache_control"),
		"image":             object(fields{"type": anything, "source": source, "cache_control": anything}),
		"document":          object(with(fields{"source": source}, "type", "title", "context", "citations", "cache_control")),
		"search_result":     object(with(fields{"content": nested}, "type", "source", "title", "citations", "cache_control")),
		"thinking":          plain("type", "thinking", "signature"),
		"redacted_thinking": plain("type", "data"),
		"tool_use":          plain("type", "id", "name", "input", "caller", "cache_control"),
		"tool_result":       object(with(fields{"content": nested}, "type", "tool_use_id", "is_error", "cache_control")),
		"tool_reference":    plain("type", "tool_name", "cache_control"),
		"compaction":        plain("type", "content", "cache_control"),
	}, "", anthropicBlockNeeds)
	return block
}

// anthropicBlockNeeds names what a block of another type is a trace of.
func anthropicBlockNeeds(typ string, v value) string {
	name, _ := v.get("name")
	switch {
	case typ == "mcp_tool_use", typ == "mcp_tool_result":
		return MCPServers
	case typ == "container_upload":
		return Files
	case typ == "web_search_tool_result", typ == "server_tool_use" && name.raw != nil && name.text() == "web_search":
		return WebSearch
	case typ == "web_fetch_tool_result", typ == "server_tool_use" && name.raw != nil && name.text() == "web_fetch":
		return WebFetch
	case executionResult.MatchString(typ), typ == "server_tool_use":
		return CodeExecution
	}
	return "block:" + clip(typ)
}

var executionResult = regexp.MustCompile(`^(bash_|text_editor_)?code_execution_tool_result$`)

// Tools with a date in their type are Anthropic's own. Those of the first kind are
// carried out by the agent, in the bottle.
var (
	anthropicClientTool = regexp.MustCompile(`^(bash|text_editor|computer|memory)_[0-9]{8}$`)
	anthropicServerTool = regexp.MustCompile(`^(web_search|web_fetch|code_execution)_[0-9]{8}$`)
)

func anthropicTool() rule {
	custom := object(with(fields{"input_schema": schema}, "type", "name", "description", "cache_control", "strict",
		"defer_loading", "allowed_callers", "eager_input_streaming", "input_examples"))
	client := plain("type", "name", "cache_control", "strict", "defer_loading", "allowed_callers", "input_examples",
		"max_characters", "display_width_px", "display_height_px", "display_number", "enable_zoom")
	known := typed(map[string]rule{"custom": custom}, "custom", func(typ string, _ value) string {
		if m := anthropicServerTool.FindStringSubmatch(typ); m != nil {
			return m[1]
		}
		if typ == "mcp_toolset" {
			return MCPServers
		}
		return "tool:" + clip(typ)
	})
	return func(j *judge, at string, v value) {
		if t, found := v.get("type"); found && t.isString() && anthropicClientTool.MatchString(t.text()) {
			client(j, at, v)
			return
		}
		if t, found := v.get("type"); found && string(t.raw) == "null" {
			custom(j, at, v)
			return
		}
		known(j, at, v)
	}
}
