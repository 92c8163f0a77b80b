package policy

import "time"

// The least that a guest can boot with and do anything at all.
const (
	minMemoryBytes = 64 << 20
	minPIDs        = 16
	minDiskBytes   = 1 << 20
)

// The most that is taken for meant. Beyond it a number is a slip of the unit.
const (
	maxMemoryBytes = 64 << 40
	maxCPUs        = 4096
	maxPIDs        = 4 << 20 // PID_MAX_LIMIT of Linux
	maxDiskBytes   = 1 << 50
	maxTimeout     = 30 * 24 * time.Hour
	maxRequests    = 1 << 40
	maxEgressBytes = 1 << 50
	maxTokens      = 1 << 50
	maxCost        = 1_000_000 * Dollar
)

// Dollar is a US dollar in the unit of Limits.Cost.
const Dollar = 1_000_000

// WithDefaults gives l with every limit that is zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	setDefault(&l.MemoryBytes, DefaultMemoryBytes)
	setDefault(&l.CPUs, DefaultCPUs)
	setDefault(&l.PIDs, DefaultPIDs)
	setDefault(&l.DiskBytes, DefaultDiskBytes)
	setDefault(&l.Timeout, DefaultTimeout)
	setDefault(&l.Requests, DefaultRequests)
	setDefault(&l.EgressBytes, DefaultEgressBytes)
	setDefault(&l.Tokens, DefaultTokens)
	return l
}

func setDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

func (l Limits) validate(f *Faults) {
	l = l.WithDefaults()
	validateRange(f, "limits.memory", l.MemoryBytes, minMemoryBytes, maxMemoryBytes, "bytes")
	validateRange(f, "limits.cpus", l.CPUs, 1, maxCPUs, "processors")
	validateRange(f, "limits.pids", l.PIDs, minPIDs, maxPIDs, "tasks")
	validateRange(f, "limits.disk", l.DiskBytes, minDiskBytes, maxDiskBytes, "bytes")
	validateRange(f, "limits.requests", l.Requests, 1, maxRequests, "requests")
	validateRange(f, "limits.egress_bytes", l.EgressBytes, 1, maxEgressBytes, "bytes")
	validateRange(f, "limits.tokens", l.Tokens, 1, maxTokens, "tokens")
	validateRange(f, "limits.cost", l.Cost, 0, maxCost, "millionths of a US dollar")
	if l.Timeout < time.Second || l.Timeout > maxTimeout {
		f.addf("limits.timeout", "%s is not from 1s to %s", l.Timeout, maxTimeout)
	}
}

func validateRange[T int | int64](f *Faults, field string, value, least, most T, unit string) {
	if value < least || value > most {
		f.addf(field, "%d is not from %d to %d %s", value, least, most, unit)
	}
}
