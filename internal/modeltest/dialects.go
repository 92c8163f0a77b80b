package modeltest

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

var dialects = map[Wire]dialect{Anthropic: anthropic{}, OpenAI: openAI{}, Gemini: gemini{}}

// object is a JSON object.
type object = map[string]any

// anthropic is the Messages API (platform.claude.com/docs, streaming messages).
type anthropic struct{ input int }

func (anthropic) results(c conversation) int {
	n := 0
	for _, m := range c.Messages {
		n += bytes.Count(m, []byte(`"tool_use_id"`))
	}
	return n
}

func (anthropic) streamed(_ string, c conversation) bool { return c.Stream }

func (a anthropic) whole(turn int, c *Call, text string) any {
	return a.message(turn, stopReason(c), []any{a.block(turn, c, text, true)})
}

func (a anthropic) message(turn int, stop any, content []any) object {
	return object{
		"id": fmt.Sprintf("msg_%d", turn), "type": "message", "role": "assistant", "model": "scripted", "content": content,
		"stop_reason": stop, "stop_sequence": nil, "usage": object{"input_tokens": cmp.Or(a.input, 10), "output_tokens": 10},
	}
}

func stopReason(c *Call) string {
	if c != nil {
		return "tool_use"
	}
	return "end_turn"
}

func (anthropic) block(turn int, c *Call, text string, full bool) object {
	var input any = object{}
	if c == nil {
		if !full {
			text = ""
		}
		return object{"type": "text", "text": text}
	}
	if full {
		input = c.Input
	}
	return object{"type": "tool_use", "id": fmt.Sprintf("toolu_%d", turn), "name": c.Tool, "input": input}
}

func (a anthropic) say(w *events, turn int, c *Call, text string) {
	delta := object{"type": "text_delta", "text": text}
	if c != nil {
		delta = object{"type": "input_json_delta", "partial_json": inputText(c)}
	}
	w.send("message_start", object{"type": "message_start", "message": a.message(turn, nil, []any{})})
	w.send("content_block_start", object{"type": "content_block_start", "index": 0, "content_block": a.block(turn, c, text, false)})
	w.send("content_block_delta", object{"type": "content_block_delta", "index": 0, "delta": delta})
	w.send("content_block_stop", object{"type": "content_block_stop", "index": 0})
	w.send("message_delta", object{"type": "message_delta", "delta": object{"stop_reason": stopReason(c), "stop_sequence": nil}, "usage": object{"output_tokens": 10}})
	w.send("message_stop", object{"type": "message_stop"})
}

// openAI is the Responses API (platform.openai.com/docs/api-reference/responses-streaming).
type openAI struct{}

func (openAI) results(c conversation) int {
	return bytes.Count(c.Input, []byte(`_call_output"`))
}

func (openAI) streamed(_ string, c conversation) bool { return c.Stream }

func (o openAI) whole(turn int, c *Call, text string) any {
	return o.response(turn, "completed", []any{o.item(turn, c, text)})
}

func (openAI) response(turn int, status string, output []any) object {
	r := object{"id": fmt.Sprintf("resp_%d", turn), "object": "response", "created_at": 1, "model": "scripted", "status": status, "output": output}
	if status == "completed" {
		r["usage"] = object{
			"input_tokens": 10, "input_tokens_details": object{"cached_tokens": 0}, "output_tokens": 10,
			"output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": 20,
		}
	}
	return r
}

func (openAI) item(turn int, c *Call, text string) object {
	if c == nil {
		return object{
			"type": "message", "id": fmt.Sprintf("item_%d", turn), "role": "assistant", "status": "completed",
			"content": []any{object{"type": "output_text", "text": text, "annotations": []any{}}},
		}
	}
	item := object{"id": fmt.Sprintf("item_%d", turn), "call_id": fmt.Sprintf("call_%d", turn), "name": c.Tool, "status": "completed"}
	if s, freeform := c.Input.(string); freeform {
		item["type"], item["input"] = "custom_tool_call", s
		return item
	}
	item["type"], item["arguments"] = "function_call", inputText(c)
	return item
}

func (o openAI) say(w *events, turn int, c *Call, text string) {
	item := o.item(turn, c, text)
	w.send("response.created", object{"type": "response.created", "response": o.response(turn, "in_progress", []any{})})
	w.send("response.output_item.added", object{"type": "response.output_item.added", "output_index": 0, "item": item})
	if c == nil {
		w.send("response.output_text.delta", object{"type": "response.output_text.delta", "item_id": item["id"], "output_index": 0, "content_index": 0, "delta": text})
	}
	w.send("response.output_item.done", object{"type": "response.output_item.done", "output_index": 0, "item": item})
	w.send("response.completed", object{"type": "response.completed", "response": o.response(turn, "completed", []any{item})})
}

// gemini is generateContent (ai.google.dev/api/generate-content).
type gemini struct{}

func (gemini) results(c conversation) int {
	n := 0
	for _, m := range c.Contents {
		n += bytes.Count(m, []byte(`"functionResponse"`))
	}
	return n
}

func (gemini) streamed(path string, _ conversation) bool {
	return strings.HasSuffix(path, ":streamGenerateContent")
}

func (gemini) whole(_ int, c *Call, text string) any {
	part := object{"text": text}
	if c != nil {
		part = object{"functionCall": object{"name": c.Tool, "args": c.Input}}
	}
	return object{
		"candidates":    []any{object{"index": 0, "finishReason": "STOP", "content": object{"role": "model", "parts": []any{part}}}},
		"usageMetadata": object{"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20},
		"modelVersion":  "scripted",
	}
}

func (g gemini) say(w *events, turn int, c *Call, text string) {
	w.send("", g.whole(turn, c, text).(object))
}
