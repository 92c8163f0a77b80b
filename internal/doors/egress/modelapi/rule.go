package modelapi

import (
	"slices"
	"strings"
)

// Features that a bottle may list besides those that name what was met: "beta:",
// "header:", "field:", "tool:" and "block:" with a name behind.
const (
	MCPServers      = "mcp_servers"      // connects to servers that the request names
	WebSearch       = "web_search"       // asks a search engine
	WebFetch        = "web_fetch"        // loads pages
	CodeExecution   = "code_execution"   // runs code at the provider's
	ImageGeneration = "image_generation" // makes images at the provider's
	URLSources      = "url_sources"      // loads images and documents by URL
	Files           = "files"            // uses what is kept in the account's files
	Stored          = "stored"           // keeps a conversation in the account, or reads a kept one
	Background      = "background"       // works on after the connection has ended
	RemoteSchemas   = "remote_schemas"   // schemas that refer to others by URL
)

// judge walks a body and keeps the first thing that may not pass.
type judge struct {
	allow   []string
	refusal *Refusal
}

// allows tells whether the bottle lists a feature; where not, it is what the
// request is refused for.
func (j *judge) allows(feature, what string) bool {
	if slices.Contains(j.allow, feature) {
		return true
	}
	if j.refusal == nil {
		j.refusal = notListed(feature, what)
	}
	return false
}

func (j *judge) malformed(what string) {
	if j.refusal == nil {
		j.refusal = &Refusal{Rule: RuleBody, Message: what}
	}
}

// rule judges the value at a place, written "tools.input_schema".
type rule func(j *judge, at string, v value)

// anything passes: the provider only reads it.
func anything(*judge, string, value) {}

// feature passes where the bottle lists it, or where the value asks for nothing.
func feature(name string) rule {
	return func(j *judge, at string, v value) {
		if !v.isNothing() {
			j.allows(name, quoted(at))
		}
	}
}

// fields is an object of which every key is listed.
type fields map[string]rule

// object gives the rule of an object with these fields.
func object(f fields) rule {
	return func(j *judge, at string, v value) {
		if !v.isObject() {
			j.malformed(quoted(at) + " is not an object")
			return
		}
		for _, m := range v.members {
			below := strings.TrimPrefix(at+"."+m.key, ".")
			if r, known := f[m.key]; known {
				r(j, below, m.value)
			} else {
				j.allows("field:"+clip(below), "field "+quoted(below))
			}
			if j.refusal != nil {
				return
			}
		}
	}
}

// plain gives the rule of an object whose listed fields are only read.
func plain(names ...string) rule { return object(with(fields{}, names...)) }

// with adds fields that are only read.
func with(f fields, names ...string) fields {
	for _, name := range names {
		f[name] = anything
	}
	return f
}

// each applies r to every item of an array. null is no array with nothing in it.
func each(r rule) rule {
	return func(j *judge, at string, v value) {
		if !v.isArray() {
			if string(v.raw) != "null" {
				j.malformed(quoted(at) + " is not an array")
			}
			return
		}
		for _, item := range v.items {
			if r(j, at, item); j.refusal != nil {
				return
			}
		}
	}
}

// textOr lets a string pass, and applies r to anything else.
func textOr(r rule) rule {
	return func(j *judge, at string, v value) {
		if !v.isString() {
			r(j, at, v)
		}
	}
}

// typed chooses the rule by the member "type". An object of another type needs
// the feature that needs gives for it.
func typed(byType map[string]rule, missing string, needs func(typ string, v value) string) rule {
	return func(j *judge, at string, v value) {
		if !v.isObject() {
			j.malformed(quoted(at) + " is not an object")
			return
		}
		typ := missing
		if t, found := v.get("type"); found {
			if typ = t.text(); !t.isString() {
				j.malformed("the type of " + quoted(at) + " is not a string")
				return
			}
		}
		if r, known := byType[typ]; known {
			r(j, at, v)
			return
		}
		j.allows(needs(typ, v), quoted(at)+" of type "+quoted(typ))
	}
}

// dataURL passes data that is in the string itself.
func dataURL(j *judge, at string, v value) {
	if v.isObject() { // {"url": …}, as in the older API
		object(fields{"url": dataURL, "detail": anything})(j, at, v)
		return
	}
	if s := v.text(); !v.isNothing() && !strings.HasPrefix(s, "data:") {
		j.allows(URLSources, quoted(at)+" that is not data itself")
	}
}

// schema is a JSON Schema. One that refers to another by URL could be loaded.
func schema(j *judge, at string, v value) {
	for _, m := range v.members {
		if strings.HasSuffix(strings.ToLower(m.key), "ref") && m.key[0] == '$' && m.value.isString() && !strings.HasPrefix(m.value.text(), "#") {
			j.allows(RemoteSchemas, "a schema in "+quoted(at)+" that refers to another")
			return
		}
		schema(j, at, m.value)
	}
	for _, item := range v.items {
		schema(j, at, item)
	}
}
