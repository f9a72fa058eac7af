# Part of inside.sh: someone new follows the README, as a user who may use sudo, and
# pastes each command as it is written there.

useradd --create-home newcomer
echo 'newcomer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/newcomer
cp new.deb "/home/newcomer/sonde_1.0.0_$(dpkg --print-architecture).deb"
paste() { # WHERE COMMAND: what asks is asked again until the service has started
  local how=
  case $2 in *status* | *curl*) how=await ;; esac
  check "README, $1: $2" $how su - newcomer -c "$2"
}
section() { # NAME
  local line
  while read -r line; do paste "$1" "$line" < /dev/null; done < <(python3 readme.py README.md readme.done "$1")
}

section "Install on a sensor box"
# By hand between the commands: the proposed watch of the test's own network.
while read -r line; do
  paste "A first watch" "$line" < /dev/null
  case $line in *" init "*)
    awk -v RS= -v ORS='\n\n' '/name = "sonde0"/ { at = index($0, "#[[watch]]"); $0 = substr($0, at); gsub(/(^|\n)#/, "\n") } 1' \
      /etc/sonde/conf.d/watches.toml > /tmp/taken && cp /tmp/taken /etc/sonde/conf.d/watches.toml
    check "README: the proposed watch is taken" grep -A1 '^\[\[watch\]\]' /etc/sonde/conf.d/watches.toml
    ;;
  esac
done < <(python3 readme.py README.md readme.done "A first watch")
check "the new watch is looked at" await eval 'sonde events -o json | grep -q "\"watch\":\"sonde0\""'
printf '[control]\nlisten = "127.0.0.1:9797"\n' > /etc/sonde/conf.d/listen.toml
systemctl restart sonde
section "Is it well?"
section "Backup, restore, upgrade"
check "what was known is known again" eval 'await active && sonde inventory -o json | grep -q 198.18.77.2'
check "purge" dpkg -P sonde
rm /etc/sudoers.d/newcomer /var/backups/sonde.db
userdel --remove newcomer > /tmp/said 2>&1
