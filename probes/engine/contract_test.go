package engine_test

import (
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openSystem(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func openNet(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.NewNet(cfg, engine.Net{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestContractOfSystemEngine(t *testing.T) {
	enginetest.Contract(t, func(t *testing.T) *enginetest.Harness {
		h := enginetest.Real(t, openSystem(t, engine.Config{Loops: 1}))
		h.Rejects = runtime.GOOS == "linux"
		return h
	})
}

func TestContractOfNetEngine(t *testing.T) {
	enginetest.Contract(t, func(t *testing.T) *enginetest.Harness {
		return enginetest.Real(t, openNet(t, engine.Config{Loops: 1}))
	})
}
