package meter

// BytesPerToken is by how many bytes a token is estimated. English and code have some
// four in each; answers in events have many more, so that an estimate is rather too
// high than too low.
const BytesPerToken = 4

// MaxTokens is the most of one kind that a call is believed to have taken: ten times
// the longest context that a model has.
const MaxTokens = 100_000_000

// bytesOfAToken is the other bound of what is believed: a token stands for at most so
// many bytes. Recorded sound in base64 has some 1,400.
const bytesOfAToken = 4096

// Usage is what calls took, in tokens by the kinds that have prices of their own.
type Usage struct {
	Input      int64 // read anew
	Output     int64 // thoughts among it
	CacheWrite int64 // read, and kept by the provider
	CacheRead  int64 // that the provider had kept
	Estimated  bool  // it is not, or not all of it, what the upstream said
}

// Total is how many tokens there are, of all kinds.
func (u Usage) Total() int64 { return u.read() + u.Output }

func (u Usage) read() int64 { return u.Input + u.CacheWrite + u.CacheRead }

// largest takes of each kind the larger number: providers count up.
func (u Usage) largest(o Usage) Usage {
	return Usage{
		Input: max(u.Input, o.Input), Output: max(u.Output, o.Output),
		CacheWrite: max(u.CacheWrite, o.CacheWrite), CacheRead: max(u.CacheRead, o.CacheRead),
		Estimated: u.Estimated || o.Estimated,
	}
}

// plausible tells whether so few tokens can stand for these bytes.
func (u Usage) plausible(sent, received int64) bool {
	return u.read() > 0 && u.Total() >= (sent+received)/bytesOfAToken
}

// Estimate gives what a call took of which no usage is known, by its bytes.
func Estimate(sent, received int64) Usage {
	return Usage{Input: tokensOf(sent), Output: tokensOf(received), Estimated: true}
}

func tokensOf(bytes int64) int64 { return (max(bytes, 0) + BytesPerToken - 1) / BytesPerToken }
