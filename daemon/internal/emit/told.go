package emit

// Told gives the last sequence number of the epoch that is in the events file at
// path, or else in the newest rotated one: 0 for none. It changes neither.
func Told(path string, epoch int64) (int64, error) {
	last, err := lastSeq(path, epoch)
	if err != nil || last > 0 {
		return last, err
	}
	rotated, err := (&JSONFile{cfg: JSONFileConfig{Path: path}}).rotated()
	if err != nil || len(rotated) == 0 {
		return 0, err
	}
	return lastSeq(rotated[len(rotated)-1], epoch)
}
