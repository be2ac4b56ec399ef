# Prints a receipt: sh src/checkout.sh ARTICLE QUANTITY [ARTICLE QUANTITY ...]
set -eu
here=$(dirname "$0")
. "$here/price.sh"

sum=0
while [ $# -ge 2 ]; do
    price=$(sed -n "s/^$1 //p" "$here/catalogue.txt")
    if [ -z "$price" ]; then
        echo "checkout: no article called $1" >&2
        exit 1
    fi
    line=$(subtotal "$price" "$2")
    echo "$2 x $1: $(money "$line")"
    sum=$((sum + line))
    shift 2
done
off=$(discount "$sum")
rest=$((sum - off))
post=$(shipping "$rest")
echo "discount: $(money "$off")"
echo "shipping: $(money "$post")"
echo "total: $(money $((rest + post)))"
