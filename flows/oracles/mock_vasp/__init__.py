"""mock-vasp: a program that stands in for VASP under unmodified workflows, with an interatomic potential.

Structures, energies, forces and stress are real answers of the potential. Electrons are not modelled:
bands, density of states, charges and dielectric constants are placeholders of the right shape.
"""

VERSION = "6.0.0-mock"
