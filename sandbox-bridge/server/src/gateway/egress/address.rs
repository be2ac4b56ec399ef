//! Which addresses a name may lead to: the public ones, and for hosts that the operator calls private also those of their network.
//!
//! Pure; follows the registries of special addresses (RFC 6890 and IANA's tables of it). What is in none of the known groups counts
//! as public for IPv4, and as forbidden for IPv6 outside of 2000::/3, which is all that was ever given out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// On the internet.
    Public,
    /// On this machine or in a network of the operator's; only for hosts that were configured as private.
    Private,
    /// Never for a sandbox: metadata services, link-local, multicast, reserved, translations of these.
    Forbidden,
}

/// Metadata and host services of clouds at addresses that would pass as public or private: Azure's wire server, Alibaba's,
/// Amazon's and Google's by IPv6.
const SERVICES_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)];
const SERVICES_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Where this address is.
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if SERVICES_V4.contains(&address) {
        return Reach::Forbidden;
    }
    match address.octets() {
        // RFC 1918, RFC 1122 (loopback), RFC 6598 (carrier-grade NAT).
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // "This network", link-local, IETF assignments, 6to4 relays, benchmarks, documentation, multicast and the reserved rest.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Forbidden,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if SERVICES_V6.contains(&address) {
        return Reach::Forbidden;
    }
    if let Some(mapped) = address.to_ipv4_mapped() {
        return reach_v4(mapped);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Reach::Private,
        // NAT64 (RFC 6052): the network translates it to the IPv4 address in its last 32 bits.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            match reach_v4(Ipv4Addr::new(a, b, c, d)) {
                Reach::Public => Reach::Public,
                Reach::Private | Reach::Forbidden => Reach::Forbidden,
            }
        }
        // Teredo, ORCHID and other protocol assignments; documentation; 6to4, which hides an IPv4 address; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => {
            Reach::Forbidden
        }
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Forbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (reach_of, addresses) in [
            (
                Reach::Public,
                "1.1.1.1 8.8.8.8 140.82.112.3 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 2606:4700::1111 \
                 2a00:1450::1 64:ff9b::101:101 ::ffff:1.1.1.1",
            ),
            (
                Reach::Private,
                "127.0.0.1 127.255.0.1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 ::1 fc00::1 \
                 fd12:3456::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1",
            ),
            (
                Reach::Forbidden,
                "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 \
                 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 100.100.100.200 168.63.129.16 :: \
                 fe80::1 fec0::1 ff02::1 fd00:ec2::254 fd20:ce::254 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 \
                 ::ffff:169.254.169.254 ::127.0.0.1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 100::1 4000::1 5f00::1",
            ),
        ] {
            for address in addresses.split_whitespace() {
                assert_eq!(reach(address.parse().unwrap()), reach_of, "{address}");
            }
        }
    }
}
