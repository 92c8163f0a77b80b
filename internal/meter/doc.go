// Package meter reads from the answers of a model's API how many tokens a call took,
// and says what they cost by a table of prices.
//
// # What it promises
//
//   - A [Meter] is written what an upstream sends, in pieces of any size, keeps
//     nothing of it but a few numbers and short names, and never holds it back.
//   - It reads Anthropic's messages, OpenAI's responses and chat completions and
//     Gemini's generateContent: as one document, as server-sent events and, Gemini's,
//     as one long array.
//   - No call is free. Where the usage is absent, cut off, or can't be true (negative,
//     no whole number, more than [MaxTokens], named twice in one object, or too little
//     for the bytes that passed), what counts is an estimate of a token for each
//     [BytesPerToken] bytes that were sent and received, and Usage.Estimated says so.
//   - Amounts of money are whole millionths of a US dollar, rounded up. There are no
//     floats.
//
// # What it does not promise
//
// An upstream whose lie is plausible is believed: it is the one that sends the bill.
// What providers charge beside tokens (searches, storage, a dearer tier or region) is
// not read.
package meter
