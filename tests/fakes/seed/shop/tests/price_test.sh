. src/price.sh

check "subtotal multiplies" "$(subtotal 1250 3)" 3750
check "ten percent of 100.00" "$(percent_of 10000 10)" 1000
check "a discount from 100.00 upwards" "$(discount 10000)" 1000
check "no discount below" "$(discount 9999)" 0
check "shipping costs 4.90" "$(shipping 4999)" 490
check "shipping is free from 50.00" "$(shipping 5000)" 0
check "money has two digits of cents" "$(money 1205)" 12.05
