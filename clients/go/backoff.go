package uwfq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// backoff is the waits between the tries of one loop.
//
// The n-th wait lies between half of and all of initial x 2^(n-1), up to longest: spread at random,
// so that a thousand clients don't come back as one.
type backoff struct {
	initial time.Duration
	longest time.Duration
	tries   int
}

func newBackoff() *backoff {
	return &backoff{initial: 100 * time.Millisecond, longest: 2 * time.Second}
}

// reset is for a try that has succeeded: the next trouble starts with a short wait again.
func (b *backoff) reset() {
	b.tries = 0
}

// next is how long to wait after err, which may be nil.
//
// The service's own hint is a floor: coming earlier would be refused again.  It is the same for
// everyone, so the spread goes on top of it.
func (b *backoff) next(err error) time.Duration {
	wait := b.longest
	// Beyond 2^20 the cap has long won, and the product would overflow.
	if b.tries < 20 {
		wait = min(b.initial<<b.tries, b.longest)
	}
	b.tries++
	wait = wait/2 + rand.N(wait/2+1)
	var refusal *Error
	if errors.As(err, &refusal) {
		wait += refusal.RetryAfter
	}
	return wait
}

// sleep returns early, with the context's error, when that ends.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
