"""Money: which currencies there are and how finely each is divided (ISO 4217)."""

from decimal import Decimal
from typing import Final

from .refusals import AmountNotPlaceable, AmountTooFine

#: Digits before the point that an amount may have.
_MAX_WHOLE_DIGITS: Final = 18

_DECIMALS: Final[dict[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
    COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR
    IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
    NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
    SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

#: Decimals of every active currency; precious metals and other units without any are not money here.
EXPONENTS: Final[dict[str, int]] = {code: digits for digits, codes in _DECIMALS.items() for code in codes.split()}


def check_amount(amount: Decimal, currency: str) -> None:
    """Raise AmountNotPlaceable unless the currency exists and the amount is more than zero.

    Raises AmountTooFine for more decimals than the currency has.
    """
    decimals = EXPONENTS.get(currency)
    if decimals is None:
        raise AmountNotPlaceable("currency", "is not an active currency of ISO 4217")
    if amount <= 0:
        raise AmountNotPlaceable("cash_amount", "must be more than zero")
    if amount >= 10**_MAX_WHOLE_DIGITS:
        raise AmountNotPlaceable("cash_amount", f"has more than {_MAX_WHOLE_DIGITS} digits before the point")
    if amount.as_tuple().exponent < -decimals:  # type: ignore[operator] # finite: no letter stands in its place
        raise AmountTooFine(decimals, currency)
