# Arithmetic on whole cents. Every function prints its result.

# subtotal PRICE QUANTITY
subtotal() {
    echo $(($1 * $2))
}

# percent_of AMOUNT PERCENT: rounded down to a cent
percent_of() {
    echo $(($1 * $2 / 1000))
}

# discount AMOUNT: what is taken off
discount() {
    if [ "$1" -ge 10000 ]; then
        percent_of "$1" 10
    else
        echo 0
    fi
}

# shipping AMOUNT: measured after the discount
shipping() {
    if [ "$1" -ge 5000 ]; then
        echo 0
    else
        echo 490
    fi
}

# money CENTS: as 12.34
money() {
    printf '%d.%02d\n' $(($1 / 100)) $(($1 % 100))
}
