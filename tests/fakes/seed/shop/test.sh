# Runs every test; fails when one does.
passed=0
failed=0
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: expected $3, got $2"
    fi
}
cd "$(dirname "$0")" || exit 1
for file in tests/*_test.sh; do
    . "./$file"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
