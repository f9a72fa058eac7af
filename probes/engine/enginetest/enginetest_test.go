package enginetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"sonde/probes/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContractOfVirtualLoop(t *testing.T) {
	enginetest.Contract(t, enginetest.Virtual)
}
