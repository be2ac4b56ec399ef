check "a small order pays shipping" "$(sh src/checkout.sh mug 1 | tail -n 1)" "total: 17.40"
check "a large order gets the discount" "$(sh src/checkout.sh chair 2 | tail -n 1)" "total: 160.20"
