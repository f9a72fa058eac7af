# Part of inside.sh: the .rpm, by rpm itself. What it depends on is not in rpm's
# database here, which is Debian's machine; its scripts run as anywhere.

check "the .rpm installs, and its scripts run" rpm -i --nodeps new.rpm
check "its files are as it says" eval 'test -z "$(rpm -V --nodeps sonde)"'
check "its unit is accepted" systemd-analyze verify --man=no /usr/lib/systemd/system/sonde.service
check "the service is its user's" getent passwd sonde
check "it starts" eval 'systemctl start sonde && await active'
check "and is as confined" test -n "$(systemd-analyze security sonde.service --no-pager | grep 'level.*: 1\.[0-6] ')"
check "it watches" await grep -q watch.baselined $events
pid=$(property MainPID)
check "an upgrade by rpm restarts it" eval 'rpm -U --nodeps newer.rpm && await eval "active && [ \$(property MainPID) != $pid ]"'
check "and loses no event" await gapless
check "rpm removes it" rpm -e --nodeps sonde
check "which stops it, and keeps what it knew" eval '! active && test -s /var/lib/sonde/sonde.db'
check "and leaves no unit" test -z "$(ls -d /usr/lib/systemd/system/sonde* 2> /dev/null)"
rm -rf /var/lib/sonde /var/log/sonde /run/sonde /etc/sonde
