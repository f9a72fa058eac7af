package inventory

import "time"

// maxAliveStep is how far the stored sign of life may lag behind, so that a
// quiet network does not rewrite it at each visit: small against GoneAfter.
const maxAliveStep = time.Minute

// aliveStep is maxAliveStep, or less where a rule looks closer.
func (s *Store) aliveStep() time.Duration {
	const share = 30
	step := min(maxAliveStep, s.rules.GoneAfter/share)
	for _, r := range s.watches {
		step = min(step, r.GoneAfter/share)
	}
	return step
}

// saveAlive writes the signs of life of the batch. A time that went back, as
// after a clock was set, is written too.
func (tx *transaction) saveAlive() error {
	step := tx.aliveStep()
	for h, at := range tx.alive {
		if at.IsZero() {
			continue
		}
		_, err := tx.stmts.saveAlive.ExecContext(tx.ctx, h.Zone, h.Addr.String(), nanos(at), int64(step))
		if err != nil {
			return err
		}
	}
	return nil
}
