package session

import (
	"strings"
	"testing"

	"sonde/probes"
)

func TestIdentify(t *testing.T) {
	db := load(t, testDatabase, 80, false)
	const unknown = "all lists tried"
	tests := []struct {
		name, answer string
		transport    probes.Transport
		probe        string
		want         summary
		reason       string
	}{
		{
			"greeting", "SSH-2.0-OpenSSH_9.2p1\r\n", probes.TCP, "NULL",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "ssh",
				Product: "OpenSSH", Version: "9.2p1", Probe: "NULL",
			}, "",
		},
		{
			"NULL list is searched last", "SSH-2.0-OpenSSH_9.2p1\r\n", probes.TCP, "GetRequest",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "ssh",
				Product: "OpenSSH", Version: "9.2p1", Probe: "GetRequest",
			}, "",
		},
		{
			"TLS by its name", "HTTP/1.1 400 Bad\r\n\r\nThe plain HTTP request was sent to HTTPS port",
			probes.TCP, "GetRequest",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "http",
				Product: "Boxweb", Probe: "GetRequest", Tunnel: probes.TLS,
			}, "",
		},
		{
			"unknown probe, hard before soft", "220 box FTP\r\n214 Boxftp 2\r\n", probes.TCP, "NoSuch",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "ftp",
				Product: "Boxftp", Version: "2", Probe: "FTPHelp",
			}, unknown,
		},
		{
			"unknown probe, only soft", "220 box FTP\r\n", probes.TCP, "",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Soft, Service: "ftp", Probe: "NULL",
			}, unknown,
		},
		{
			"permissions do not count", "OK", probes.TCP, "Login",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "login",
				Product: "Login", Probe: "Login",
			}, "",
		},
		{
			"UDP", "echo 5!", probes.UDP, "Echo",
			summary{
				Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Service: "echo",
				Product: "Echo", Version: "5", Probe: "Echo",
			}, "",
		},
		{
			"nothing known", "?", probes.UDP, "Echo",
			summary{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched}, "",
		},
		{
			"no answer", "", probes.TCP, "NULL",
			summary{Outcome: probes.OutcomeSilent, Strength: probes.Unmatched}, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Identify(db, tt.transport, tt.probe, []byte(tt.answer))
			if got := summarize(o); got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
			if (tt.reason == "") != (o.Reason == "") || !strings.Contains(o.Reason, tt.reason) {
				t.Errorf("reason %q", o.Reason)
			}
		})
	}
}
