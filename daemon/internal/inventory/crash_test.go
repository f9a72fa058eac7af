package inventory
const childVariable = "SONDE_INVENTORY_TEST_CHILD"
func runChild(string) {}
