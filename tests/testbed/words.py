"""Words for sample data: Brazilian, and hostile enough to break what does not quote or escape."""

from __future__ import annotations

CATEGORIES = [
    "Entradas",
    "Pratos principais",
    "Sobremesas & doces",
    "Bebidas não alcoólicas",
    'Vinhos "da casa"',
    "Massas",
    "Grelhados",
    "Porções",
    "Promoções <b>só hoje</b>",
]
DISHES = [
    "Feijoada completa",
    "Moqueca de peixe à capixaba",
    "Pão de queijo (porção)",
    "Coxinha d'avó",
    'Picanha "na chapa"',
    "Açaí na tigela 500 ml",
    "Brigadeiro gourmet",
    "Caipirinha de limão",
    "Suco de maracujá",
    "Baião de dois",
    "Escondidinho de carne-de-sol",
    "Bobó de camarão",
    "Pudim de leite 100%",
    "Pastel de feira \\ queijo",
    "<script>alert('X-Tudo')</script>",
    "Filé à parmegiana; DROP TABLE products; --",
    "Água de coco 🥥",
    "Vatapá & acarajé",
    "Tapioca de coco",
    "Frango com quiabo",
    "Torta\tholandesa",
    "Virado à paulista",
    "Cachorro-quente $prensado",
    "Arroz de cuxá",
    "Quindim",
    "Pamonha",
    "Guaraná 350 ml",
    "Cafezinho",
]
DESCRIPTIONS = [
    "Receita da família, serve duas pessoas.",
    "Acompanha arroz, farofa & couve.",
    "Sem glúten; pode conter traços de castanha.",
    'Eleito "o melhor da cidade" em 2024.',
    "Linha um\nlinha dois",
    "",
]
FIRST = [
    *("Ana", "João", "Maria", "José", "Antônia", "Luís", "Conceição", "Sebastião", "Íris"),
    *("Thaís", "Zélia", "Caetano", "Inês", "Raí", "Jucélia", "Ângelo", "Débora", "Vinícius"),
]
LAST = [
    *("da Silva", "Gonçalves", "D'Ávila", "Araújo", "São João", "Brandão", "Muñoz", "Sant'Anna"),
    *("de Assunção", "Magalhães", "Peçanha", "Falcão", "Guimarães", "Ximenes", "Luz"),
]
ODD_NAMES = [
    'Joana D\'Arc "Jô" Conceição',
    "<b>Zé</b> & Filhos",
    "<img src=x onerror=alert(1)>",
    "Robert'); DROP TABLE customers;--",
    "Ñandú Çelik Ünal",
    "Maria\u00a0da\u00a0Penha",
    "Cliente 😋 sem nome",
    "%s {{ nome }} ${NOME}",
    "NULL",
]
STREETS = [
    *("Rua das Flores", "Av. São João", "Travessa D'Oliveira", "Praça da Sé"),
    *('Rua "Quinze" de Novembro', "Ladeira do Pelourinho", "Alameda Itú"),
]
NOTES = [
    "sem cebola",
    'ponto da carne: "mal passada"',
    "<i>alergia a camarão!</i>",
    "levar p/ viagem & talheres",
    "cliente disse: 'rápido'",
]
SUPPLIERS = [
    "Hortifruti Irmãos Peçanha Ltda.",
    "Distribuidora D'Ouro S/A",
    "Açougue & Cia.",
    'Laticínios "Serra Azul"',
    "Companhia de Água e Luz",
]
CITIES = [
    *("São Paulo", "Belém", "Goiânia", "Maceió", "Florianópolis", "Olho d'Água das Flores"),
    *("Brasília", "Vitória", "São Luís", "Porto Alegre", "Ribeirão Preto"),
]
KINDS = [
    *("Cantina", "Bar", "Padaria", "Churrascaria", "Pizzaria", "Lanchonete", "Confeitaria"),
    *("Restaurante", "Boteco", "Sorveteria"),
]
OWNERS = [
    *("da Dona Zefa", "do João", "d'Água", 'O "Rei"', "São Jorge", "& Companhia", "da Praça"),
    *("do Açaí", "Três Irmãos", "<Express>", "Pão Quente", "da Esquina", "Ipê Amarelo"),
]
